package images

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// archive writes a file and returns its path and state.
func archive(t *testing.T, dir, name, text string) (string, os.FileInfo) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, info
}

func TestWithoutTheFileNothingIsCached(t *testing.T) {
	dir := t.TempDir()
	path, info := archive(t, dir, "a.tar", "x")
	c := loadCache(dir)
	c.remember(path, info, []string{"image"})
	if _, fresh := c.fresh(path, info); fresh {
		t.Error("the cache works though nobody turned it on")
	}
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, CacheFile)); !os.IsNotExist(err) {
		t.Error("the cache file appeared by itself")
	}
}

func TestEmptyFileTurnsTheCacheOn(t *testing.T) {
	dir := t.TempDir()
	archive(t, dir, CacheFile, "")
	path, info := archive(t, dir, "a.tar", "x")
	c := loadCache(dir)
	if _, fresh := c.fresh(path, info); fresh {
		t.Fatal("an archive never seen counts as imported")
	}
	c.remember(path, info, []string{"image"})
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	r, fresh := loadCache(dir).fresh(path, info)
	if !fresh || len(r.Images) != 1 || r.Images[0] != "image" {
		t.Errorf("%v %+v", fresh, r)
	}
}

func TestChangedArchivesAreImportedAgain(t *testing.T) {
	dir := t.TempDir()
	archive(t, dir, CacheFile, "{}")
	path, info := archive(t, dir, "a.tar", "x")
	c := loadCache(dir)
	c.remember(path, info, nil)
	_, bigger := archive(t, dir, "a.tar", "xx")
	if _, fresh := c.fresh(path, bigger); fresh {
		t.Error("another size goes unseen")
	}
	_, _ = archive(t, dir, "a.tar", "x")
	for offset, want := range map[time.Duration]bool{time.Hour: false, -time.Hour: true} {
		when := info.ModTime().Add(offset)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
		touched, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, fresh := c.fresh(path, touched); fresh != want {
			t.Errorf("modified %s later: fresh %v, want %v", offset, fresh, want)
		}
	}
}

func TestBrokenCacheFileOnlyMeansImportingAgain(t *testing.T) {
	dir := t.TempDir()
	archive(t, dir, CacheFile, "{broken")
	path, info := archive(t, dir, "a.tar", "x")
	c := loadCache(dir)
	if _, fresh := c.fresh(path, info); fresh || !c.on {
		t.Errorf("on %v", c.on)
	}
}

func TestArchivesThatAreGoneAreForgotten(t *testing.T) {
	dir := t.TempDir()
	archive(t, dir, CacheFile, "")
	path, info := archive(t, dir, "a.tar", "x")
	c := loadCache(dir)
	c.remember(path, info, nil)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	if again := loadCache(dir); len(again.records) != 0 {
		t.Errorf("%v", again.records)
	}
}

func TestWantedEndings(t *testing.T) {
	for _, name := range []string{"a.tar", "a.tar.gz", "a.tgz", "a.tar.zst", "a.tzst", "a.tar.bz2", "a.tbz", "a.tar.lz4", "a.txt"} {
		if !Wanted(name) {
			t.Errorf("%s is passed over", name)
		}
	}
	for _, name := range []string{"a.zip", ".cache.json", "a.tar.new", "a.gz"} {
		if Wanted(name) {
			t.Errorf("%s counts", name)
		}
	}
}

func TestCompressedArchivesOpen(t *testing.T) {
	writers := map[string]func(io.Writer) io.WriteCloser{
		"a.tar":     func(w io.Writer) io.WriteCloser { return nopCloser{w} },
		"a.tgz":     func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"a.tar.lz4": func(w io.Writer) io.WriteCloser { return lz4.NewWriter(w) },
		"a.tar.zst": func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z },
	}
	for name, writer := range writers {
		if got, err := roundTrip(t, name, writer); err != nil || got != "content" {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
}

// A window larger than k3s' decoder takes must fail here too, or it would first fail on a site.
func TestLargeZstdWindowIsABadArchive(t *testing.T) {
	writer := func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w, zstd.WithWindowSize(64<<20), zstd.WithSingleSegment(false))
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	path := filepath.Join(t.TempDir(), "a.tar.zst")
	var packed bytes.Buffer
	z := writer(&packed)
	_, _ = z.Write(bytes.Repeat([]byte("0123456789abcdef"), 8<<20)) // more than one window
	_ = z.Close()
	if err := os.WriteFile(path, packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	stream, err := openArchive(file)
	if err == nil {
		_, err = io.Copy(io.Discard, stream)
	}
	if err == nil {
		t.Error("a 64 MiB window is accepted")
	}
}

func roundTrip(t *testing.T, name string, writer func(io.Writer) io.WriteCloser) (string, error) {
	var packed bytes.Buffer
	w := writer(&packed)
	_, _ = w.Write([]byte("content"))
	_ = w.Close()
	path, _ := archive(t, t.TempDir(), name, packed.String())
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	stream, err := openArchive(file)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(stream)
	return string(text), err
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func TestFilesOfAFolderThatAppearsLaterAreNotMissed(t *testing.T) {
	agent := t.TempDir()
	im := &Importer{Dir: filepath.Join(agent, "images")}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	if err := os.MkdirAll(filepath.Join(im.Dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	path, _ := archive(t, filepath.Join(im.Dir, "sub"), "a.tar", "x")
	pending := map[string]time.Time{}
	if err := im.watchTree(watcher, im.Dir, pending); err != nil {
		t.Fatal(err)
	}
	if _, found := pending[path]; !found || len(pending) != 1 || len(watcher.WatchList()) != 2 {
		t.Errorf("pending %v, watched %v", pending, watcher.WatchList())
	}
	if im.holds(filepath.Join(agent, "images.tar")) || !im.holds(path) {
		t.Error("what lies in the folder is not told from what lies beside it")
	}
}
