package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"aiplat.dev/standin/internal/config"
)

func written(t *testing.T, n config.Node, template string) (string, map[string]any) {
	t.Helper()
	p := PathsFor(n.DataDir)
	if template != "" {
		if err := os.MkdirAll(p.Etc, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(p.Etc, "config-v3.toml.tmpl"), []byte(template), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteConfig(n, p); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(p.Etc, "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	var parsed map[string]any
	if err := toml.Unmarshal(raw, &parsed); err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	return string(raw), parsed
}

func node(t *testing.T, registries string) config.Node {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "registries.yaml")
	if err := os.WriteFile(path, []byte(registries), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Node{DataDir: dir, PauseImage: "rancher/mirrored-pause:3.10.2", Snapshotter: "native", PrivateRegistry: path, NonrootDevice: true}
}

func TestSettingsReachContainerd(t *testing.T) {
	text, parsed := written(t, node(t, "configs: {reg.example: {auth: {username: u, password: 'p\"q'}}}"), "")
	if parsed["version"] != int64(3) {
		t.Errorf("version %v", parsed["version"])
	}
	for _, want := range []string{`snapshotter = "native"`, `sandbox = "rancher/mirrored-pause:3.10.2"`, `device_ownership_from_security_context = true`,
		`password = "p\"q"`, `registry.configs."reg.example".auth`, `/agent/etc/containerd/certs.d"`} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %q in\n%s", want, text)
		}
	}
}

func TestOwnTemplateMayBuildOnOurs(t *testing.T) {
	text, parsed := written(t, node(t, ""), "{{ template \"base\" . }}\n[timeouts]\nx = \"1s\"\n")
	if parsed["timeouts"] == nil || !strings.Contains(text, "certs.d") {
		t.Error(text)
	}
}
