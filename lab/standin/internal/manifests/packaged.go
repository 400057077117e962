// Package manifests keeps the folder server/manifests: it writes the packaged components there at
// each start, and applies every file of the folder to the cluster, by k3s' rules.
package manifests

import (
	"embed"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aiplat.dev/standin/internal/config"
	"aiplat.dev/standin/internal/pki"
	"aiplat.dev/standin/internal/version"
)

//go:embed packaged/*.yaml
var packaged embed.FS

// Variables are put into packaged files; a user's own files are applied as they are.
type Variables struct {
	ClusterDNS                 []netip.Addr
	ClusterDomain, StoragePath string
}

func (v Variables) fill(text string) string {
	images := version.Images()
	policy := "SingleStack"
	if len(v.ClusterDNS) > 1 {
		policy = "RequireDualStack"
	}
	return strings.NewReplacer(
		"%{CLUSTER_DNS}%", v.ClusterDNS[0].String(), "%{CLUSTER_DNS_LIST}%", `"`+strings.ReplaceAll(config.Listed(v.ClusterDNS), ",", `", "`)+`"`, "%{CLUSTER_DNS_POLICY}%", policy, "%{CLUSTER_DOMAIN}%", v.ClusterDomain, "%{DEFAULT_LOCAL_STORAGE_PATH}%", v.StoragePath,
		"%{COREDNS_VERSION}%", images.CoreDNS, "%{LOCAL_PATH_VERSION}%", images.LocalPath, "%{BUSYBOX_VERSION}%", images.Busybox,
	).Replace(text)
}

// WritePackaged writes the packaged files that are not disabled. A disabled one is left on disk
// if it is there: the applier needs it to know what to delete, and removes it then.
func WritePackaged(dir string, disabled []string, v Variables) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return fs.WalkDir(packaged, "packaged", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name := filepath.Base(path)
		if slices.Contains(disabled, stem(name)) {
			return nil
		}
		text, err := packaged.ReadFile(path)
		if err != nil {
			return err
		}
		return pki.WriteFile(filepath.Join(dir, name), []byte(v.fill(string(text))), 0o600)
	})
}

// stem is a file's name up to its first dot; it names the file in `disable` and in records.
func stem(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	return name
}
