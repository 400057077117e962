package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/certificate/csr"
	"k8s.io/client-go/util/keyutil"

	"aiplat.dev/standin/internal/nodepassword"
	"aiplat.dev/standin/internal/pki"
	"aiplat.dev/standin/internal/token"
)

// ClusterConfig names the ConfigMap in kube-system by which a server tells nodes what they need.
const ClusterConfig = "standin-cluster"

// tokenPatience is how long a server may turn a token away before the node gives up.
const tokenPatience = time.Minute

// Certificates that every node asks for beside its kubelet's: user name and kubeconfig file.
var nodeClients = []struct{ user, file string }{
	{"system:kube-proxy", "kubeproxy"},
	{"system:k3s-controller", "k3scontroller"},
}

// fetchCA reads the cluster CA from a server that cannot be trusted yet; the token vouches for it.
func fetchCA(ctx context.Context, server string, t token.Token) ([]byte, error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // #nosec: the CA's hash is checked below
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/cacerts", nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("failed to get CA certs: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("failed to get CA certs: %s/cacerts answered %s", server, response.Status)
	}
	ca, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if err := t.CheckCA(ca); err != nil {
		return nil, &Refused{err}
	}
	return ca, nil
}

// Refused is a joining error that no waiting will mend.
type Refused struct{ error }

// join trusts the server, reads the cluster's settings and gets this node's client certificates.
func (n *node) join(ctx context.Context) error {
	parsed, err := token.Parse(n.Token)
	if err != nil {
		return &Refused{err}
	}
	ca, err := fetchCA(ctx, n.server, parsed)
	if err != nil {
		return err
	}
	if err := pki.WriteFile(n.path("server-ca.crt"), ca, 0o644); err != nil {
		return err
	}
	id, key := token.Bootstrap(parsed.Secret)
	bootstrap := n.path("bootstrap.kubeconfig")
	if err := WriteKubeconfig(bootstrap, n.server, n.path("server-ca.crt"), Credentials{Token: id + "." + key}); err != nil {
		return err
	}
	config, err := ClientConfig(bootstrap)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	settings, err := client.CoreV1().ConfigMaps("kube-system").Get(ctx, ClusterConfig, metav1.GetOptions{})
	if err != nil {
		return err
	}
	n.cluster = settings.Data
	if err := n.provePassword(ctx, ca, id+"."+key); err != nil {
		return err
	}
	if err := pki.WriteFile(n.path("client-ca.crt"), []byte(settings.Data["client-ca.crt"]), 0o644); err != nil {
		return err
	}
	if err := n.forgetOtherCluster(); err != nil {
		return err
	}
	for _, c := range nodeClients {
		if err := n.ensureClient(ctx, client, c.user, c.file); err != nil {
			return fmt.Errorf("client certificate for %s: %w", c.user, err)
		}
	}
	return nil
}

// provePassword shows the server that this is the node that had the name before. A refusal is no
// end: the name is free once somebody has deleted the node.
func (n *node) provePassword(ctx context.Context, ca []byte, bearer string) error {
	password, err := os.ReadFile(PasswordFile)
	if err != nil {
		return err
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(ca)
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.server+nodepassword.Page, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+bearer)
	request.Header.Set(nodepassword.NameHeader, n.Name)
	request.Header.Set(nodepassword.PasswordHeader, strings.TrimSpace(string(password)))
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusForbidden:
		return nodepassword.ErrRejected
	}
	said, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	return fmt.Errorf("node password: the server answers %s: %s", response.Status, strings.TrimSpace(string(said)))
}

// forgetOtherCluster removes the kubelet's certificates when this cluster's CAs did not sign them:
// a host that joined an earlier cluster would otherwise be turned away for ever.
func (n *node) forgetOtherCluster() error {
	client, serving := n.path("pki/kubelet-client-current.pem"), n.path("pki/kubelet-server-current.pem")
	stale := exists(client) && !pki.SignedBy(client, n.path("client-ca.crt"))
	if !stale && !(exists(serving) && !pki.SignedBy(serving, n.path("server-ca.crt"))) {
		return nil
	}
	if err := os.RemoveAll(n.path("pki")); err != nil {
		return err
	}
	return os.RemoveAll(n.path("kubelet.kubeconfig"))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// ensureClient asks the cluster to sign a client certificate, unless a good one is there.
func (n *node) ensureClient(ctx context.Context, client kubernetes.Interface, user, file string) error {
	certFile, keyFile := n.path("client-"+file+".crt"), n.path("client-"+file+".key")
	kubeconfig := n.path(file + ".kubeconfig")
	if err := WriteKubeconfig(kubeconfig, n.server, n.path("server-ca.crt"), Credentials{Cert: certFile, Key: keyFile}); err != nil {
		return err
	}
	if !pki.Expiring(certFile) && pki.SignedBy(certFile, n.path("client-ca.crt")) {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: user}}, key)
	if err != nil {
		return err
	}
	request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	usages := []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth}
	name, uid, err := csr.RequestCertificateWithContext(ctx, client, request, "", certificatesv1.KubeAPIServerClientSignerName, nil, usages, key)
	if err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cert, err := csr.WaitForCertificate(waiting, client, name, uid)
	if err != nil {
		return err
	}
	raw, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	if err := pki.WriteFile(keyFile, raw, 0o600); err != nil {
		return err
	}
	return pki.WriteFile(certFile, cert, 0o644)
}

// joinUntil tries to join until it works: servers may start after their agents.
func (n *node) joinUntil(ctx context.Context) error {
	var last error
	var unknown time.Time
	err := wait.PollUntilContextCancel(ctx, 500*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		err := n.join(ctx)
		if refused, ok := err.(*Refused); ok {
			return false, refused
		}
		// A server that starts does not know its tokens yet; only a lasting refusal is one.
		if !apierrors.IsUnauthorized(err) {
			unknown = time.Time{}
		} else if unknown.IsZero() {
			unknown = time.Now()
		} else if time.Since(unknown) > tokenPatience {
			return false, &Refused{fmt.Errorf("the server refuses this token: %w", err)}
		}
		if err != nil && (last == nil || err.Error() != last.Error()) {
			n.log.Warn("waiting for the server", "server", n.server, "reason", err)
		}
		last = err
		return err == nil, nil
	})
	return err
}

func (n *node) path(name string) string { return filepath.Join(n.DataDir, "agent", name) }

// ensurePassword keeps the node's password file, which k3s makes at a node's first start.
func ensurePassword(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	secret, err := token.Random()
	if err != nil {
		return err
	}
	return pki.WriteFile(path, []byte(secret+"\n"), 0o600)
}
