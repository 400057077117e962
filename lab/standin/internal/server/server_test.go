package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"aiplat.dev/standin/internal/config"
	"aiplat.dev/standin/internal/token"
)

func request(t *testing.T, signer, user string, groups []string, template x509.CertificateRequest) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	return &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{
		SignerName: signer, Username: user, Groups: groups, Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
	}}
}

func TestWhichCertificateRequestsAreApproved(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a1"}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: "10.0.0.12"}, {Type: corev1.NodeHostName, Address: "a1"}}}}
	serving, client := certificatesv1.KubeletServingSignerName, certificatesv1.KubeAPIServerClientSignerName
	nodes, joining := []string{"system:nodes"}, []string{joiners}
	kubelet := x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:node:a1", Organization: nodes}, DNSNames: []string{"a1"}, IPAddresses: []net.IP{net.ParseIP("10.0.0.12")}}
	foreignName, foreignAddress := kubelet, kubelet
	foreignName.DNSNames = []string{"kubernetes"}
	foreignAddress.IPAddresses = []net.IP{net.ParseIP("10.0.0.11")}
	cases := []struct {
		name         string
		signer, user string
		groups       []string
		template     x509.CertificateRequest
		want         bool
	}{
		{"a kubelet's own serving certificate", serving, "system:node:a1", nodes, kubelet, true},
		{"serving under another node's user", serving, "system:node:a2", nodes, kubelet, false},
		{"serving, asked for by nobody's group", serving, "system:node:a1", nil, kubelet, false},
		{"serving under a foreign name", serving, "system:node:a1", nodes, foreignName, false},
		{"serving under a foreign address", serving, "system:node:a1", nodes, foreignAddress, false},
		{"kube-proxy's client", client, "system:bootstrap:abcdef", joining, x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:kube-proxy"}}, true},
		{"an administrator", client, "system:bootstrap:abcdef", joining, x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:admin", Organization: []string{"system:masters"}}}, false},
		{"kube-proxy with a group", client, "system:bootstrap:abcdef", joining, x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:kube-proxy", Organization: []string{"system:masters"}}}, false},
		{"kube-proxy, asked for by a user", client, "jane", []string{"system:authenticated"}, x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:kube-proxy"}}, false},
	}
	for _, c := range cases {
		if got, why := verdict(request(t, c.signer, c.user, c.groups, c.template), node); got != c.want {
			t.Errorf("%s: approved %v (%s)", c.name, got, why)
		}
	}
}

func newServer(t *testing.T, configured string) *server {
	t.Helper()
	return &server{Server: config.Server{Node: config.Node{DataDir: t.TempDir(), Token: configured}, EncryptionProvider: "aescbc", KubeconfigMode: "0600"}}
}

func TestTokenFilesAndTheirSecret(t *testing.T) {
	s := newServer(t, "")
	if err := s.ensureTokens(); err != nil || len(s.secret) != 32 {
		t.Fatalf("%q %v", s.secret, err)
	}
	if err := s.ensureCerts([]netip.Addr{netip.MustParseAddr("10.0.0.11")}); err != nil {
		t.Fatal(err)
	}
	if err := s.writeTokens(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(s.path("node-token"))
	if err != nil || string(raw) != token.Format(s.caPEM, "server", s.secret)+"\n" {
		t.Errorf("%s %v", raw, err)
	}
	for _, link := range []string{"node-token", "agent-token"} {
		if target, err := os.Readlink(s.path(link)); err != nil || target != s.path("token") {
			t.Errorf("%s -> %s %v", link, target, err)
		}
	}
	if info, err := os.Stat(s.path("token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	kept := &server{Server: s.Server}
	if err := kept.ensureTokens(); err != nil || kept.secret != s.secret {
		t.Errorf("a restart changes the token: %v", err)
	}
	kept.Token = strings.TrimSpace(string(raw))
	if err := kept.ensureTokens(); err != nil {
		t.Errorf("the secure form of its own token is refused: %v", err)
	}
	kept.Token = "another"
	if err := kept.ensureTokens(); err == nil || !strings.Contains(err.Error(), "encrypted with different token") {
		t.Errorf("another token: %v", err)
	}
}

func TestFirstServerRefusesATokenWithHash(t *testing.T) {
	s := newServer(t, "K10"+strings.Repeat("0", 64)+"::server:secret")
	if err := s.ensureTokens(); err == nil || !strings.Contains(err.Error(), "CA hash") {
		t.Error(err)
	}
}

func TestEncryptionKeyIsMadeOnceAndCannotBeTurnedOffInSilence(t *testing.T) {
	s := newServer(t, "")
	s.Encryption = true
	if err := s.ensureEncryption(); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(s.encryptionFile())
	if err != nil || !strings.Contains(string(first), `"aescbc"`) || strings.Contains(string(first), `"resources":null`) {
		t.Fatalf("%s %v", first, err)
	}
	if err := s.ensureEncryption(); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(s.encryptionFile()); string(again) != string(first) {
		t.Error("the key changed")
	}
	s.Encryption = false
	if err := s.ensureEncryption(); err == nil {
		t.Error("encryption is turned off although Secrets are stored encrypted")
	}
}

func TestKubeconfigIsPrivateAndLocal(t *testing.T) {
	s := newServer(t, "")
	if err := s.ensureTokens(); err != nil {
		t.Fatal(err)
	}
	if err := s.ensureCerts([]netip.Addr{netip.MustParseAddr("10.0.0.11")}); err != nil {
		t.Fatal(err)
	}
	s.Kubeconfig = filepath.Join(t.TempDir(), "admin.yaml")
	s.Port = "6443"
	if err := s.writeKubeconfigFile(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(s.Kubeconfig)
	if err != nil || !strings.Contains(string(raw), "server: https://127.0.0.1:6443") {
		t.Errorf("%s %v", raw, err)
	}
	if info, err := os.Stat(s.Kubeconfig); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}
