// Package pki makes the cluster's certificate authorities and the server's own certificates,
// under the file names that k3s uses in server/tls. Nodes get theirs by signing requests.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	caYears     = 10
	leafDays    = 365
	renewWithin = 120 * 24 * time.Hour
)

// Authority is a certificate authority with its key.
type Authority struct {
	Cert *x509.Certificate
	Key  crypto.Signer
	PEM  []byte
}

// EnsureCA loads DIR/<name>.crt and .key, or makes them.
func EnsureCA(dir, name string) (Authority, error) {
	certFile, keyFile := filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	if _, err := os.Stat(certFile); err == nil {
		return loadCA(certFile, keyFile)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Authority{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: fmt.Sprintf("k3s-%s@%d", name, now.Unix())},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(caYears, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Authority{}, err
	}
	if err := writeKey(keyFile, key); err != nil {
		return Authority{}, err
	}
	if err := WriteFile(certFile, encode("CERTIFICATE", der), 0o644); err != nil {
		return Authority{}, err
	}
	return loadCA(certFile, keyFile)
}

func loadCA(certFile, keyFile string) (Authority, error) {
	raw, err := os.ReadFile(certFile)
	if err != nil {
		return Authority{}, err
	}
	cert, err := parseCert(raw)
	if err != nil {
		return Authority{}, fmt.Errorf("%s: %w", certFile, err)
	}
	key, err := loadKey(keyFile)
	return Authority{Cert: cert, Key: key, PEM: raw}, err
}

// Leaf describes one certificate that the server keeps for itself.
type Leaf struct {
	Name   string // file name without ending
	CN     string
	Groups []string
	Hosts  []string // names and addresses; a certificate with hosts is for serving
}

// EnsureLeaf keeps DIR/<leaf>.crt valid: it is made again when it is missing, near its end,
// signed by another CA, or lacks one of the wanted hosts. The key stays.
func EnsureLeaf(dir string, ca Authority, leaf Leaf) error {
	certFile, keyFile := filepath.Join(dir, leaf.Name+".crt"), filepath.Join(dir, leaf.Name+".key")
	key, err := loadKey(keyFile)
	if os.IsNotExist(err) {
		fresh, genErr := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if genErr != nil {
			return genErr
		}
		key, err = fresh, writeKey(keyFile, fresh)
	}
	if err != nil {
		return err
	}
	if raw, err := os.ReadFile(certFile); err == nil {
		if cert, err := parseCert(raw); err == nil && good(cert, ca, key, leaf) {
			return nil
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template(leaf), ca.Cert, key.Public(), ca.Key)
	if err != nil {
		return err
	}
	return WriteFile(certFile, append(encode("CERTIFICATE", der), ca.PEM...), 0o644)
}

func template(leaf Leaf) *x509.Certificate {
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: leaf.CN, Organization: leaf.Groups},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, leafDays),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if len(leaf.Hosts) > 0 {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	for _, host := range leaf.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	return t
}

func good(cert *x509.Certificate, ca Authority, key crypto.Signer, leaf Leaf) bool {
	type comparable interface{ Equal(crypto.PublicKey) bool }
	public, ok := key.Public().(comparable)
	if !ok || !public.Equal(cert.PublicKey) || cert.CheckSignatureFrom(ca.Cert) != nil {
		return false
	}
	for _, host := range leaf.Hosts {
		if cert.VerifyHostname(host) != nil {
			return false
		}
	}
	return time.Until(cert.NotAfter) > renewWithin && cert.Subject.CommonName == leaf.CN
}

// EnsureServiceKey keeps the RSA key that signs service account tokens.
func EnsureServiceKey(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	return WriteFile(path, encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), 0o600)
}

// Expiring says whether the certificate in a file is missing, broken or near its end.
func Expiring(path string) bool {
	raw, err := os.ReadFile(path)
	if err != nil {
		return true
	}
	cert, err := parseCert(raw)
	return err != nil || time.Until(cert.NotAfter) < renewWithin
}

// WriteFile replaces a file as a whole, so that a crash never leaves half of it.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	if _, err := temporary.Write(data); err != nil {
		return err
	}
	if err := temporary.Chmod(mode); err != nil {
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(err) // the kernel's random source never fails on a machine that runs at all
	}
	return n
}

func parseCert(raw []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("no certificate in PEM form")
	}
	return x509.ParseCertificate(block.Bytes)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return WriteFile(path, encode("EC PRIVATE KEY", der), 0o600)
}

func loadKey(path string) (crypto.Signer, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s: no key in PEM form", path)
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: not a key that can sign", path)
	}
	return signer, nil
}

// SignedBy says whether the certificate in a file was signed by the CA in another.
func SignedBy(certFile, caFile string) bool {
	raw, err := os.ReadFile(certFile)
	if err != nil {
		return false
	}
	caRaw, err := os.ReadFile(caFile)
	if err != nil {
		return false
	}
	cert, err := parseCert(raw)
	if err != nil {
		return false
	}
	ca, err := parseCert(caRaw)
	return err == nil && cert.CheckSignatureFrom(ca) == nil
}
