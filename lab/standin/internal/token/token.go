// Package token reads and writes k3s' join tokens and derives from each the upstream bootstrap
// token that carries it over to Kubernetes. It knows nothing about who may use one.
package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

var form = regexp.MustCompile(`^K10([0-9a-f]{64})::(?:(server|node):)?(.+)$`)

// Token is a join token taken apart. CAHash is empty for the short form.
type Token struct {
	CAHash string
	User   string
	Secret string
}

// Parse reads the secure form K10<hash>::<user>:<secret> or the short form, the secret alone.
func Parse(text string) (Token, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Token{}, fmt.Errorf("token is empty")
	}
	if !strings.HasPrefix(text, "K10") {
		return Token{Secret: text}, nil
	}
	m := form.FindStringSubmatch(text)
	if m == nil {
		return Token{}, fmt.Errorf("invalid token format: K10<CA hash>::<user>:<secret> expected")
	}
	return Token{CAHash: m[1], User: m[2], Secret: m[3]}, nil
}

// Format writes the secure form for a CA file's content.
func Format(ca []byte, user, secret string) string {
	return fmt.Sprintf("K10%s::%s:%s", Hash(ca), user, secret)
}

// Hash is the sha256 of the CA file as it lies on disk, in hex.
func Hash(ca []byte) string {
	sum := sha256.Sum256(ca)
	return hex.EncodeToString(sum[:])
}

// CheckCA refuses a server whose CA is not the one that the token was made for.
func (t Token) CheckCA(ca []byte) error {
	if t.CAHash == "" || t.CAHash == Hash(ca) {
		return nil
	}
	return fmt.Errorf("token CA hash does not match the Cluster CA certificate hash: %s != %s", t.CAHash, Hash(ca))
}

// Bootstrap derives the upstream bootstrap token (id of 6, secret of 16 characters). A hash
// keeps the k3s secret itself out of the cluster; the same secret always gives the same token.
func Bootstrap(secret string) (id, key string) {
	sum := sha256.Sum256([]byte("aiplat stand-in bootstrap token\x00" + secret))
	text := strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]))
	return text[:6], text[6:22]
}

// Random makes a new secret: 16 random bytes in hex, as k3s does.
func Random() (string, error) {
	var raw [16]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(raw[:]), nil
}
