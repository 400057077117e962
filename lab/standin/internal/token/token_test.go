package token

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"
)

var ca = []byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")

func TestFormatAndParse(t *testing.T) {
	sum := sha256.Sum256(ca)
	text := Format(ca, "server", "s3cret:with::colons")
	if text != "K10"+hex.EncodeToString(sum[:])+"::server:s3cret:with::colons" {
		t.Fatal(text)
	}
	got, err := Parse(text + "\n")
	if err != nil || got.Secret != "s3cret:with::colons" || got.User != "server" || got.CAHash != Hash(ca) {
		t.Errorf("%+v %v", got, err)
	}
	if err := got.CheckCA(ca); err != nil {
		t.Error(err)
	}
}

func TestShortToken(t *testing.T) {
	got, err := Parse("just-a-secret")
	if err != nil || got.Secret != "just-a-secret" || got.CheckCA(ca) != nil {
		t.Errorf("%+v %v", got, err)
	}
}

func TestWrongCAIsRefused(t *testing.T) {
	got, err := Parse("K10" + strings.Repeat("0", 64) + "::server:secret")
	if err != nil {
		t.Fatal(err)
	}
	if err := got.CheckCA(ca); err == nil || !strings.Contains(err.Error(), "does not match") {
		t.Errorf("%v", err)
	}
}

func TestBrokenTokens(t *testing.T) {
	for _, text := range []string{"", "  ", "K10abc::server:x", "K10" + strings.Repeat("0", 64), "K10" + strings.Repeat("0", 64) + "::"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

func TestBootstrapTokenHasUpstreamFormAndHidesTheSecret(t *testing.T) {
	id, key := Bootstrap("secret")
	if !regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}$`).MatchString(id + "." + key) {
		t.Errorf("%s.%s", id, key)
	}
	again, _ := Bootstrap("secret")
	other, _ := Bootstrap("Secret")
	if id != again || id == other {
		t.Error("the same secret must give the same token, another one another")
	}
}
