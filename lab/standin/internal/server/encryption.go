package server

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"

	"encoding/base64"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"time"

	"aiplat.dev/standin/internal/pki"
)

func (s *server) encryptionFile() string { return s.path("cred", "encryption-config.json") }

// ensureEncryption keeps the key that Secrets are encrypted with. The key is made once: a lost
// or changed one would make every stored Secret unreadable.
func (s *server) ensureEncryption() error {
	_, err := os.Stat(s.encryptionFile())
	exists := err == nil
	switch {
	case exists && !s.Encryption:
		return fmt.Errorf("secrets-encryption: %s exists, so Secrets are stored encrypted, but the setting is off; set secrets-encryption: true", s.encryptionFile())
	case exists || !s.Encryption:
		return nil
	}
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return err
	}
	keys := []apiserverv1.Key{{Name: s.EncryptionProvider + "key-" + time.Now().UTC().Format("2006-01-02T15:04:05Z"), Secret: base64.StdEncoding.EncodeToString(raw)}}
	provider := apiserverv1.ProviderConfiguration{AESCBC: &apiserverv1.AESConfiguration{Keys: keys}}
	if s.EncryptionProvider == "secretbox" {
		provider = apiserverv1.ProviderConfiguration{Secretbox: &apiserverv1.SecretboxConfiguration{Keys: keys}}
	}
	document := apiserverv1.EncryptionConfiguration{
		TypeMeta: metav1.TypeMeta{Kind: "EncryptionConfiguration", APIVersion: "apiserver.config.k8s.io/v1"},
		Resources: []apiserverv1.ResourceConfiguration{{
			Resources: []string{"secrets"},
			// Identity comes second: Secrets written before encryption was on stay readable.
			Providers: []apiserverv1.ProviderConfiguration{provider, {Identity: &apiserverv1.IdentityConfiguration{}}},
		}},
	}
	data, err := json.Marshal(document)
	if err != nil {
		return err
	}
	return pki.WriteFile(s.encryptionFile(), data, 0o600)
}
