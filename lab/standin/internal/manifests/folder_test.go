package manifests

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func write(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestScanTakesWhatK3sTakes(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.yaml", "b.yml", "c.json", "sub/d.yaml", ".hidden.yaml", ".dir/e.yaml", "f.txt", "g.yaml", "g.yaml.skip")
	paths, err := scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range paths {
		names = append(names, strings.TrimPrefix(path, dir+"/"))
	}
	if !slices.Equal(names, []string{"a.yaml", "b.yml", "c.json", "sub/d.yaml"}) {
		t.Error(names)
	}
}

func TestDisableNamesAFileOrItsFolder(t *testing.T) {
	for path, want := range map[string]bool{"/m/coredns.yaml": true, "/m/coredns.v2.yaml": true, "/m/coredns/x.yaml": true, "/m/my-coredns.yaml": false} {
		if off("/m", path, []string{"coredns"}) != want {
			t.Errorf("%s: want %v", path, want)
		}
	}
}

func TestDecodeTakesDocumentsAndListsApart(t *testing.T) {
	objects, err := decode([]byte("kind: A\napiVersion: v1\n---\n# nothing\n---\nkind: List\napiVersion: v1\nitems:\n- {kind: B, apiVersion: v1}\n- {kind: C, apiVersion: v1}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, object := range objects {
		kinds = append(kinds, object.GetKind())
	}
	if !slices.Equal(kinds, []string{"A", "B", "C"}) {
		t.Error(kinds)
	}
}

func TestPackagedFilesAreRewrittenAndFilled(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "coredns.yaml", "mine.yaml")
	v := Variables{ClusterDNS: []netip.Addr{netip.MustParseAddr("10.43.0.10"), netip.MustParseAddr("fd43::a")}, ClusterDomain: "cluster.local", StoragePath: "/data"}
	if err := WritePackaged(dir, []string{"local-storage"}, v); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "coredns.yaml"))
	if err != nil || !strings.Contains(string(text), `clusterIPs: ["10.43.0.10", "fd43::a"]`) || !strings.Contains(string(text), "ipFamilyPolicy: RequireDualStack") {
		t.Errorf("%v\n%s", err, text)
	}
	if _, err := os.Stat(filepath.Join(dir, "local-storage.yaml")); !os.IsNotExist(err) {
		t.Error("a disabled component is written")
	}
	paths, err := scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		f, err := read(path)
		if err != nil || len(f.objects) == 0 {
			t.Errorf("%s: %v", path, err)
		}
		raw, _ := os.ReadFile(path)
		if strings.Contains(string(raw), "%{") {
			t.Errorf("%s keeps a variable unfilled", path)
		}
	}
}

// As in k3s: a resolver that leads back to the cluster's own DNS ends CoreDNS here, too.
func TestCoreDNSLooksForALoop(t *testing.T) {
	text, err := packaged.ReadFile("packaged/coredns.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), " loop\n") {
		t.Error("the loop plugin is off")
	}
}

func TestObjectsThatLeftAFileAreFound(t *testing.T) {
	a, b := reference{Name: "a"}, reference{Name: "b"}
	if gone := missing([]reference{a, b}, []reference{b}); len(gone) != 1 || gone[0] != a {
		t.Error(gone)
	}
}
