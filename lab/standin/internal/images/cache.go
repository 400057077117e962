// Package images imports the archives of the airgap folder into containerd, by k3s' rules:
// labels, pins, the cache file, and a broken archive that is logged and never fatal.
package images

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"aiplat.dev/standin/internal/pki"
)

// CacheFile, when it exists in the folder, makes imports conditional.
const CacheFile = ".cache.json"

// record is what is remembered of an archive that was imported.
type record struct {
	Size    int64     `json:"size"`
	ModTime time.Time `json:"modTime"`
	Images  []string  `json:"images"`
}

// cache remembers archives by path. When off, every archive is imported at each start.
type cache struct {
	path    string
	on      bool
	records map[string]record
}

func loadCache(dir string) *cache {
	c := &cache{path: filepath.Join(dir, CacheFile), records: map[string]record{}}
	data, err := os.ReadFile(c.path)
	if err != nil {
		return c
	}
	c.on = true
	// An empty file turns the cache on; a broken one only means that all is imported again.
	_ = json.Unmarshal(data, &c.records)
	return c
}

// fresh returns the record of an archive that has neither another size nor a newer time.
func (c *cache) fresh(path string, info os.FileInfo) (record, bool) {
	r, known := c.records[path]
	if !c.on || !known || r.Size != info.Size() || info.ModTime().After(r.ModTime) {
		return record{}, false
	}
	return r, true
}

func (c *cache) remember(path string, info os.FileInfo, names []string) {
	c.records[path] = record{Size: info.Size(), ModTime: info.ModTime(), Images: names}
}

// save writes the cache without archives that are gone.
func (c *cache) save() error {
	if !c.on {
		return nil
	}
	for path := range c.records {
		if _, err := os.Stat(path); os.IsNotExist(err) {
			delete(c.records, path)
		}
	}
	data, err := json.MarshalIndent(c.records, "", "  ")
	if err != nil {
		return err
	}
	return pki.WriteFile(c.path, append(data, '\n'), 0o644)
}
