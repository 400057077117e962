package registries

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func parsed(t *testing.T, text string) File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "registries.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const siteRegistry = `
mirrors:
  "*":
    endpoint: ["https://10.0.0.11:5443", "https://10.0.0.12:5443/v2"]
configs:
  "10.0.0.11:5443": {tls: {ca_file: /etc/site/ca.crt}}
  "10.0.0.12:5443": {tls: {ca_file: /etc/site/ca.crt, cert_file: /c, key_file: /k}}
`

// Without default endpoint, the last mirror takes the place that containerd would otherwise give
// to the registry on the Internet.
func TestWildcardWithoutDefaultEndpoint(t *testing.T) {
	got := Render(parsed(t, siteRegistry), true)
	want := Header + `

server = "https://10.0.0.12:5443/v2"
capabilities = ["pull", "resolve"]
ca = ["/etc/site/ca.crt"]
client = [["/c", "/k"]]

[host."https://10.0.0.11:5443/v2"]
capabilities = ["pull", "resolve"]
ca = ["/etc/site/ca.crt"]
`
	if len(got) != 3 || got["_default"] != want {
		t.Errorf("folders %d, _default:\n%s", len(got), got["_default"])
	}
}

func TestRegistryItselfComesLast(t *testing.T) {
	got := Render(parsed(t, "mirrors: {docker.io: {endpoint: [\"https://mirror.example/proxy\"]}}"), false)["docker.io"]
	server, host := strings.Index(got, `server = "https://registry-1.docker.io/v2"`), strings.Index(got, `[host."https://mirror.example/proxy"]`)
	if server < 0 || host < server || !strings.Contains(got[host:], "override_path = true") {
		t.Error(got)
	}
}

func TestWildcardKeepsEachRegistrysOwnDefault(t *testing.T) {
	got := Render(parsed(t, siteRegistry), false)["_default"]
	if strings.Contains(got, "server =") || strings.Count(got, "[host.") != 2 {
		t.Error(got)
	}
}

func TestMirrorWithoutEndpointReachesNothing(t *testing.T) {
	got := Render(parsed(t, `mirrors: {"*": {}}`), true)["_default"]
	if !strings.Contains(got, `server = "https://127.0.0.1:1/v2"`) {
		t.Error(got)
	}
}

func TestEndpointRules(t *testing.T) {
	cases := map[string]string{
		"mirror.example":              "https://mirror.example/v2",
		"http://mirror.example/":      "http://mirror.example/v2",
		"https://mirror.example/v2/":  "https://mirror.example/v2",
		"localhost:5000":              "http://localhost:5000/v2",
		"127.0.0.1:443":               "https://127.0.0.1:443/v2",
		"https://mirror.example/path": "https://mirror.example/path",
	}
	for endpoint, want := range cases {
		h, err := endpointHost(endpoint, nil)
		if err != nil || h.url != want {
			t.Errorf("%s gives %s, want %s (%v)", endpoint, h.url, want, err)
		}
	}
}

func TestTLSOfARegistryWithoutMirror(t *testing.T) {
	got := Render(parsed(t, "configs: {\"reg.example:5000\": {tls: {insecure_skip_verify: true}}}"), true)["reg.example:5000"]
	if !strings.Contains(got, `server = "https://reg.example:5000/v2"`) || !strings.Contains(got, "skip_verify = true") {
		t.Error(got)
	}
}

func TestWriteRemovesOnlyItsOwnFolders(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"old.example": Header + "\n", "admin.example": "server = \"https://admin.example\"\n"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "hosts.toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Write(parsed(t, siteRegistry), dir, true); err != nil {
		t.Fatal(err)
	}
	for name, wanted := range map[string]bool{"old.example": false, "admin.example": true, "_default": true} {
		if _, err := os.Stat(filepath.Join(dir, name, "hosts.toml")); (err == nil) != wanted {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMisspelledKeysAreIgnoredAndRewriteIsRefused(t *testing.T) {
	if f := parsed(t, "mirors: {a: {}}"); len(f.Mirrors) != 0 {
		t.Errorf("%+v", f)
	}
	path := filepath.Join(t.TempDir(), "r.yaml")
	if err := os.WriteFile(path, []byte("mirrors: {a: {rewrite: {x: y}}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "mirrors.a.rewrite") {
		t.Errorf("%v", err)
	}
}

func TestCredentials(t *testing.T) {
	hosts, auths := parsed(t, "configs: {b: {auth: {username: u, password: p}}, a: {auth: {identity_token: i}}}").Auths()
	if len(hosts) != 2 || hosts[0] != "a" || auths["b"].Password != "p" {
		t.Errorf("%v %v", hosts, auths)
	}
}
