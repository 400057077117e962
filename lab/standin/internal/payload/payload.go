// Package payload unpacks the programs that the binary carries (containerd, runc, CNI plugins,
// crictl; iptables and ipset under aux) the way k3s does: into data/<sha256>/bin, with links to the
// one in use.
package payload

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// The archive is made by the build and never committed; without it only tests can be built.
//
//go:embed all:archive
var carried embed.FS

const archiveName = "archive/payload.tar.zst"

// Plugins are the CNI plugins, which containerd looks for in data/cni.
var Plugins = []string{"bridge", "host-local", "loopback", "portmap"}

// Unpack puts the programs under {dataDir}/data and returns the folder that holds them.
func Unpack(dataDir string) (string, error) {
	raw, err := carried.ReadFile(archiveName)
	if err != nil {
		return "", errors.New("this binary carries no programs; build it with lab/standin/build")
	}
	sum := sha256.Sum256(raw)
	root := filepath.Join(dataDir, "data")
	name := hex.EncodeToString(sum[:])
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(root, ".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	target := filepath.Join(root, name)
	if _, err := os.Stat(target); os.IsNotExist(err) {
		if err := extract(raw, target); err != nil {
			return "", fmt.Errorf("unpacking into %s: %w", target, err)
		}
	}
	return filepath.Join(target, "bin"), link(root, name)
}

func lock(path string) (func(), error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return func() { file.Close() }, unix.Flock(int(file.Fd()), unix.LOCK_EX)
}

func extract(raw []byte, target string) error {
	// A crash must not leave a folder that looks complete, so it gets its name last.
	temporary := target + "-tmp"
	if err := os.RemoveAll(temporary); err != nil {
		return err
	}
	decoder, err := zstd.NewReader(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	defer decoder.Close()
	archive := tar.NewReader(decoder)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return os.Rename(temporary, target)
		}
		if err != nil {
			return err
		}
		if !filepath.IsLocal(header.Name) {
			return fmt.Errorf("%s: not a name inside the archive", header.Name)
		}
		path := filepath.Join(temporary, "bin", header.Name)
		if err := writeProgram(path, archive); err != nil {
			return err
		}
	}
}

func writeProgram(path string, from io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, from); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

// link points `current` at the unpacked folder, `previous` at the one before, and fills `cni`.
func link(root, name string) error {
	current := filepath.Join(root, "current")
	if old, err := os.Readlink(current); err == nil && filepath.Base(old) != name {
		if err := relink(old, filepath.Join(root, "previous")); err != nil {
			return err
		}
	}
	if err := relink(filepath.Join(root, name), current); err != nil {
		return err
	}
	cni := filepath.Join(root, "cni")
	if err := os.MkdirAll(cni, 0o755); err != nil {
		return err
	}
	for _, plugin := range Plugins {
		if err := relink(filepath.Join(current, "bin", plugin), filepath.Join(cni, plugin)); err != nil {
			return err
		}
	}
	return nil
}

func relink(target, path string) error {
	if old, err := os.Readlink(path); err == nil && old == target {
		return nil
	}
	temporary := path + ".new"
	_ = os.Remove(temporary)
	if err := os.Symlink(target, temporary); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
