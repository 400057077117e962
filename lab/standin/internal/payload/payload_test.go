package payload

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func packed(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	compressor, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewWriter(compressor)
	for name, text := range files {
		if err := archive.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	_ = archive.Close()
	_ = compressor.Close()
	return out.Bytes()
}

func TestExtractGivesTheFolderItsNameLast(t *testing.T) {
	target := filepath.Join(t.TempDir(), "abc")
	raw := packed(t, map[string]string{"runc": "program", "aux/ipset": "another"})
	if err := extract(raw[:len(raw)/2], target); err == nil {
		t.Error("half an archive is accepted")
	}
	if _, err := os.Stat(target); !os.IsNotExist(err) {
		t.Error("half an archive looks like a whole one")
	}
	if err := extract(raw, target); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(target, "bin/runc"))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(target, "bin/aux/ipset")); err != nil {
		t.Error(err)
	}
	if err := extract(packed(t, map[string]string{"../escape": "x"}), target+"2"); err == nil {
		t.Error("a name may lead out of the folder")
	}
}

func TestLinksFollowTheNewPrograms(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"one", "two", "two"} {
		if err := link(root, name); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{"current": "two", "previous": "one"} {
		if got, err := os.Readlink(filepath.Join(root, path)); err != nil || filepath.Base(got) != want {
			t.Errorf("%s -> %s %v", path, got, err)
		}
	}
	if got, err := os.Readlink(filepath.Join(root, "cni/portmap")); err != nil || got != filepath.Join(root, "current/bin/portmap") {
		t.Errorf("%s %v", got, err)
	}
}
