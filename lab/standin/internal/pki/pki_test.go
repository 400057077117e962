package pki

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
)

func TestAuthorityAndLeafAreKept(t *testing.T) {
	dir := t.TempDir()
	ca, err := EnsureCA(dir, "server-ca")
	if err != nil {
		t.Fatal(err)
	}
	again, err := EnsureCA(dir, "server-ca")
	if err != nil || string(again.PEM) != string(ca.PEM) {
		t.Fatalf("the authority changed: %v", err)
	}
	leaf := Leaf{Name: "serving", CN: "api", Hosts: []string{"10.0.0.1", "api.example"}}
	first := certify(t, dir, ca, leaf)
	if string(certify(t, dir, ca, leaf)) != string(first) {
		t.Error("a good certificate is made again")
	}
	leaf.Hosts = append(leaf.Hosts, "10.0.0.2")
	cert, err := parseCert(certify(t, dir, ca, leaf))
	if err != nil || cert.VerifyHostname("10.0.0.2") != nil {
		t.Errorf("a new name is missing: %v", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: "api.example"}); err != nil {
		t.Error(err)
	}
}

func TestLeafOfAnotherAuthorityIsReplaced(t *testing.T) {
	dir := t.TempDir()
	old, err := EnsureCA(filepath.Join(dir, "old"), "ca")
	if err != nil {
		t.Fatal(err)
	}
	now, err := EnsureCA(filepath.Join(dir, "new"), "ca")
	if err != nil {
		t.Fatal(err)
	}
	leaf := Leaf{Name: "client", CN: "admin", Groups: []string{"system:masters"}}
	certify(t, dir, old, leaf)
	certify(t, dir, now, leaf)
	file := filepath.Join(dir, "client.crt")
	if SignedBy(file, filepath.Join(dir, "old/ca.crt")) || !SignedBy(file, filepath.Join(dir, "new/ca.crt")) || Expiring(file) {
		t.Error("the certificate still belongs to the old authority")
	}
	info, err := os.Stat(filepath.Join(dir, "client.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v %v", info, err)
	}
}

func certify(t *testing.T, dir string, ca Authority, leaf Leaf) []byte {
	t.Helper()
	if err := EnsureLeaf(dir, ca, leaf); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, leaf.Name+".crt"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
