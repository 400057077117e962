package config

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aiplat.dev/standin/internal/keys"
)

// folder writes files (name -> text) and returns the path of config.yaml among them.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "config.yaml")
}

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func mustLoad(t *testing.T, role keys.Role, args []string, env func(string) string) Values {
	t.Helper()
	v, err := Load(role, args, env)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestScalarPrecedence(t *testing.T) {
	path := folder(t, map[string]string{"config.yaml": "node-name: file\n"})
	env := environment("K3S_NODE_NAME", "env", "K3S_RESOLV_CONF", "/env")
	v := mustLoad(t, keys.Server, []string{"--config", path, "--node-name=cli"}, env)
	if got := v.Text("node-name", ""); got != "cli" {
		t.Errorf("command line loses to %q", got)
	}
	v = mustLoad(t, keys.Server, []string{"-c", path}, env)
	if got := v.Text("node-name", ""); got != "file" {
		t.Errorf("file loses to %q", got)
	}
	if got := v.Text("resolv-conf", "default"); got != "/env" {
		t.Errorf("environment loses to %q", got)
	}
	if got := v.Text("cluster-domain", "default"); got != "default" {
		t.Errorf("unset key is %q", got)
	}
}

func TestListsOfFileAndCommandLineAreJoined(t *testing.T) {
	path := folder(t, map[string]string{"config.yaml": "node-label: [a=1, b=2]\n"})
	v := mustLoad(t, keys.Agent, []string{"--config=" + path, "--node-label", "c=3"}, environment())
	if got := v.List("node-label"); !slices.Equal(got, []string{"a=1", "b=2", "c=3"}) {
		t.Errorf("labels %v", got)
	}
}

func TestOnlySomeListsAreSplitAtCommas(t *testing.T) {
	path := folder(t, map[string]string{"config.yaml": "disable: traefik,servicelb\nkubelet-arg: [\"feature-gates=A=true,B=true\"]\n"})
	v := mustLoad(t, keys.Server, []string{"-c=" + path}, environment())
	if got := v.List("disable"); !slices.Equal(got, []string{"traefik", "servicelb"}) {
		t.Errorf("disable %v", got)
	}
	if got := v.List("kubelet-arg"); !slices.Equal(got, []string{"feature-gates=A=true,B=true"}) {
		t.Errorf("kubelet-arg %v", got)
	}
}

func TestDropIns(t *testing.T) {
	path := folder(t, map[string]string{
		"config.yaml":            "tls-san: [one]\nnode-name: main\n",
		"config.yaml.d/20.YAML":  "node-name: twenty\n",
		"config.yaml.d/10.yml":   "tls-san+: [two]\nnode-name: ten\n",
		"config.yaml.d/30.yaml":  "tls-san+: three\n",
		"config.yaml.d/zz.txt":   "node-name: ignored\n",
		"config.yaml.d/x/1.yaml": "node-name: too deep\n",
	})
	v := mustLoad(t, keys.Server, []string{"--config", path}, environment())
	if got := v.List("tls-san"); !slices.Equal(got, []string{"one", "two", "three"}) {
		t.Errorf("key+ gives %v", got)
	}
	if got := v.Text("node-name", ""); got != "twenty" {
		t.Errorf("the later file does not replace: %q", got)
	}
}

func TestPlainKeyReplacesWhatWasAppended(t *testing.T) {
	path := folder(t, map[string]string{
		"config.yaml.d/1.yaml": "tls-san+: [one]\n", "config.yaml.d/2.yaml": "tls-san+: [two]\n", "config.yaml.d/3.yaml": "tls-san: [three]\n",
	})
	v := mustLoad(t, keys.Server, []string{"--config", path}, environment())
	if got := v.List("tls-san"); !slices.Equal(got, []string{"three"}) {
		t.Errorf("got %v (the main file may be absent)", got)
	}
}

func TestEnvironmentNamesTheFileFirst(t *testing.T) {
	chosen := folder(t, map[string]string{"config.yaml": "node-name: from-env\n"})
	other := folder(t, map[string]string{"config.yaml": "node-name: from-flag\n"})
	v := mustLoad(t, keys.Server, []string{"--config", other}, environment("K3S_CONFIG_FILE", chosen))
	if got := v.Text("node-name", ""); got != "from-env" {
		t.Errorf("file read: %s", got)
	}
}

func TestConfigurationFromURL(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "node-name: web\n") }))
	defer server.Close()
	v := mustLoad(t, keys.Agent, nil, environment("K3S_CONFIG_FILE", server.URL))
	if got := v.Text("node-name", ""); got != "web" {
		t.Errorf("node-name %q", got)
	}
}

func TestUnknownKeyWarnsOnServerAndFailsOnAgent(t *testing.T) {
	path := folder(t, map[string]string{"config.yaml": "no-such-key: 1\nnode-name: x\n"})
	v := mustLoad(t, keys.Server, []string{"--config", path}, environment())
	if v.Text("node-name", "") != "x" {
		t.Error("the known key is lost")
	}
	_, err := Load(keys.Agent, []string{"--config", path}, environment())
	if err == nil || err.Error() != "flag provided but not defined: -no-such-key" {
		t.Errorf("agent says %v", err)
	}
	_, err = Load(keys.Server, []string{"--no-such-key=1"}, environment())
	if err == nil {
		t.Error("an unknown option on the command line is let through")
	}
}

// Every server-only key must fail on an agent: a shared file with one of them breaks agents in k3s.
func TestServerKeysFailOnAgents(t *testing.T) {
	for _, key := range keys.For(keys.Server) {
		if key.Scope != "server" {
			continue
		}
		path := folder(t, map[string]string{"config.yaml": key.Name + ": x\n"})
		if _, err := Load(keys.Agent, []string{"--config", path}, environment()); err == nil {
			t.Errorf("agent accepts the server's key %s", key.Name)
		}
	}
}

var samples = map[string]string{"bool": "true", "int": "7", "duration": "7s", "string": "x", "list": "[x]"}

// Every key either takes a value or stops with a sentence that names it; none is ignored.
func TestNoKeyIsIgnoredInSilence(t *testing.T) {
	for _, role := range []keys.Role{keys.Server, keys.Agent} {
		for _, key := range keys.For(role) {
			if key.Name == "config" {
				continue
			}
			path := folder(t, map[string]string{"config.yaml": key.Name + ": " + samples[key.Type] + "\n"})
			v, err := Load(role, []string{"--config", path}, environment())
			switch {
			case err != nil && !strings.Contains(err.Error(), key.Name):
				t.Errorf("%s %s: %v", role, key.Name, err)
			case err == nil && len(v[key.Name]) == 0:
				t.Errorf("%s %s is lost", role, key.Name)
			case err == nil && key.Support == "no":
				t.Errorf("%s %s is accepted and not implemented", role, key.Name)
			}
		}
	}
}

func TestAllUnsupportedKeysAreNamedAtOnce(t *testing.T) {
	path := folder(t, map[string]string{"config.yaml": "docker: true\nselinux: true\nvpn-auth: x\n"})
	_, err := Load(keys.Server, []string{"--config", path}, environment())
	for _, name := range []string{"docker", "selinux", "vpn-auth"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named: %v", name, err)
		}
	}
}

func TestBadValues(t *testing.T) {
	for text, want := range map[string]string{
		"secrets-encryption: maybe\n":   "secrets-encryption",
		"https-listen-port: many\n":     "https-listen-port",
		"tls-san: {a: b}\n":             "tls-san",
		"node-label: [\n":               "config.yaml",
		"etcd-s3-timeout: five\n":       "etcd-s3-timeout",
		"kubelet-arg: [{a: b}]\n":       "kubelet-arg",
		"disable-network-policy: off\n": "", // YAML's own word for false
	} {
		path := folder(t, map[string]string{"config.yaml": text})
		_, err := Load(keys.Server, []string{"--config", path}, environment())
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
