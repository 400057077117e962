package admin

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aiplat.dev/standin/internal/pki"
	"aiplat.dev/standin/internal/token"
)

// dataDir is a server's folder with an authority, a certificate and a token.
func dataDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	tls := serverFile(dir, "tls")
	if err := os.MkdirAll(tls, 0o700); err != nil {
		t.Fatal(err)
	}
	ca, err := pki.EnsureCA(tls, "server-ca")
	if err != nil {
		t.Fatal(err)
	}
	if err := pki.EnsureLeaf(tls, ca, pki.Leaf{Name: "client-admin", CN: "system:admin"}); err != nil {
		t.Fatal(err)
	}
	text := token.Format(ca.PEM, "server", "secret") + "\n"
	if err := os.WriteFile(serverFile(dir, "token"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCertificatesAreListedWithTheirState(t *testing.T) {
	dir := dataDir(t)
	var out bytes.Buffer
	if err := checkCertificates(dir, []string{"-o", "json"}, &out); err != nil {
		t.Fatal(err)
	}
	var found []certificate
	if err := json.Unmarshal(out.Bytes(), &found); err != nil || len(found) != 2 || found[0].Status != "OK" {
		t.Errorf("%v %+v", err, found)
	}
	for days, want := range map[int]string{-1: "NOT YET VALID", 300: "WARNING", 400: "EXPIRED"} {
		later, err := certificates(dir, time.Now().AddDate(0, 0, days))
		if err != nil || later[0].Status != want {
			t.Errorf("after %d days: %v %+v", days, err, later)
		}
	}
	if err := checkCertificates(t.TempDir(), nil, &out); err == nil {
		t.Error("a host without k3s has certificates")
	}
}

func TestRotationKeepsTheAuthorityAndWhatWasThere(t *testing.T) {
	dir := dataDir(t)
	kept, err := setAside(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for path, there := range map[string]bool{
		serverFile(dir, "tls", "server-ca.crt"): true, serverFile(dir, "tls", "server-ca.key"): true,
		serverFile(dir, "tls", "client-admin.crt"): false, serverFile(dir, "tls", "client-admin.key"): false,
		filepath.Join(kept, "client-admin.key"): true,
	} {
		if _, err := os.Stat(path); (err == nil) != there {
			t.Errorf("%s: %v", path, err)
		}
	}
	if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info, err)
	}
}

func TestTheTokenIsReplacedByWhoKnowsIt(t *testing.T) {
	dir := dataDir(t)
	if err := replaceToken(dir, "another", "fresh"); err == nil {
		t.Error("a wrong token replaces the right one")
	}
	if err := replaceToken(dir, "secret", "fresh"); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(serverFile(dir, "token"))
	if err != nil || !strings.HasPrefix(string(raw), "K10") || !strings.HasSuffix(string(raw), "::server:fresh\n") {
		t.Errorf("%s %v", raw, err)
	}
}

func TestEncryptionIsNamedWithItsKey(t *testing.T) {
	dir := dataDir(t)
	if found, err := encryption(dir); err != nil || found.Enable {
		t.Errorf("%+v %v", found, err)
	}
	document := `{"resources":[{"resources":["secrets"],"providers":[{"aescbc":{"keys":[{"name":"aescbckey-1","secret":"x"}]}},{"identity":{}}]}]}`
	if err := pki.WriteFile(serverFile(dir, "cred", "encryption-config.json"), []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := encryption(dir)
	var out bytes.Buffer
	if err != nil || printState(found, &out) != nil || !strings.HasPrefix(out.String(), "Encryption Status: Enabled\n") || !strings.Contains(out.String(), "AES-CBC  aescbckey-1") {
		t.Errorf("%v %s", err, out.String())
	}
}

func TestWhatTheKernelLacksIsCounted(t *testing.T) {
	root := t.TempDir()
	var out bytes.Buffer
	if err := checkConfig(root, &out); err == nil || !strings.Contains(out.String(), "STATUS: 8 (fail)") {
		t.Errorf("%v %s", err, out.String())
	}
	for path, text := range map[string]string{
		"sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n", "proc/filesystems": "nodev\toverlay\n",
		"proc/sys/net/bridge/bridge-nf-call-iptables": "1\n", "proc/sys/net/netfilter/nf_conntrack_max": "1\n", "proc/sys/net/ipv4/ip_forward": "1\n",
	} {
		if err := pki.WriteFile(filepath.Join(root, path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out.Reset()
	if err := checkConfig(root, &out); err != nil || !strings.HasSuffix(out.String(), "STATUS: pass\n") {
		t.Errorf("%v %s", err, out.String())
	}
}

func TestACommandThatIsNotHereIsNamed(t *testing.T) {
	err := Run("token", []string{"list"}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "k3s token: the stand-in implements of it: rotate") {
		t.Error(err)
	}
}
