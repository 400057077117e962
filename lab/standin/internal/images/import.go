package images

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Both labels keep an image from being collected: k3s' own, by which it finds its pins again,
// and the one that the kubelet's garbage collection heeds.
var pins = map[string]string{"io.cattle.k3s.pinned": "pinned", "io.cri-containerd.pinned": "pinned"}

// Importer brings the folder's images into containerd.
type Importer struct {
	Client      *containerd.Client
	Dir         string
	Snapshotter string
	Pull        func(ctx context.Context, image string) error // for lists of images
}

// ImportAll imports every archive of the folder, and pins what is there and nothing else. The folder
// is its user's: k3s does not make it.
func (im *Importer) ImportAll(ctx context.Context) error {
	if err := im.unpinAll(ctx); err != nil {
		return err
	}
	if _, err := os.Stat(im.Dir); os.IsNotExist(err) {
		return nil
	}
	known := loadCache(im.Dir)
	err := filepath.WalkDir(im.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !Wanted(path) {
			return err
		}
		im.importOne(ctx, path, known)
		return ctx.Err()
	})
	return errors.Join(err, known.save())
}

// importOne imports one file. Like k3s it only logs what is wrong with it.
func (im *Importer) importOne(ctx context.Context, path string, known *cache) {
	info, err := os.Stat(path)
	if err != nil {
		slog.Error("Error encountered while importing "+path, "error", err)
		return
	}
	if r, fresh := known.fresh(path, info); fresh && im.pin(ctx, r.Images) == nil {
		slog.Info("Skipping import of images from "+path, "reason", "unchanged since the last start")
		return
	}
	started := time.Now()
	names, err := im.load(ctx, path)
	if err == nil {
		err = im.pin(ctx, names)
	}
	if err != nil {
		slog.Error("Error encountered while importing "+path, "error", err)
		return
	}
	known.remember(path, info, names)
	slog.Info("Imported images from "+path, "images", len(names), "took", time.Since(started).Round(time.Millisecond))
}

func (im *Importer) load(ctx context.Context, path string) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if strings.HasSuffix(path, ".txt") {
		return im.pullList(ctx, file)
	}
	stream, err := openArchive(file)
	if err != nil {
		return nil, err
	}
	// Blobs of other platforms may be missing from an archive: that is not a fault.
	imported, err := im.Client.Import(ctx, stream, containerd.WithAllPlatforms(true), containerd.WithSkipMissing())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, image := range imported {
		alias, err := im.aliasByDigest(ctx, image)
		if err != nil {
			return nil, err
		}
		names = append(names, image.Name)
		if alias != "" {
			names = append(names, alias)
		}
		handle := containerd.NewImageWithPlatform(im.Client, image, platforms.Default())
		if err := handle.Unpack(ctx, im.Snapshotter); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// aliasByDigest adds name@digest beside name:tag, so that manifests may refer to either.
func (im *Importer) aliasByDigest(ctx context.Context, image images.Image) (string, error) {
	named, err := reference.ParseNormalizedNamed(image.Name)
	if err != nil {
		return "", nil // not a name that a pod could use
	}
	if _, digested := named.(reference.Digested); digested {
		return "", nil
	}
	alias := digestName(named, image.Target.Digest)
	image.Name = alias
	_, err = im.Client.ImageService().Create(ctx, image)
	if errdefs.IsAlreadyExists(err) {
		err = nil
	}
	return alias, err
}

func digestName(named reference.Named, d digest.Digest) string {
	return reference.TrimNamed(named).Name() + "@" + d.String()
}

func (im *Importer) pullList(ctx context.Context, file *os.File) ([]string, error) {
	var names []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		name := strings.TrimSpace(lines.Text())
		if name == "" || strings.HasPrefix(name, "#") {
			continue
		}
		named, err := reference.ParseDockerRef(name)
		if err != nil {
			return names, err
		}
		if err := im.Pull(ctx, named.String()); err != nil {
			slog.Error("Failed to pull "+name, "error", err)
			continue
		}
		names = append(names, named.String())
	}
	return names, lines.Err()
}

func (im *Importer) pin(ctx context.Context, names []string) error {
	return im.label(ctx, names, pins)
}

func (im *Importer) unpinAll(ctx context.Context) error {
	pinned, err := im.Client.ImageService().List(ctx, `labels."io.cattle.k3s.pinned"==pinned`)
	if err != nil {
		return err
	}
	var names []string
	for _, image := range pinned {
		names = append(names, image.Name)
	}
	return im.label(ctx, names, map[string]string{"io.cattle.k3s.pinned": "", "io.cri-containerd.pinned": ""})
}

// label sets labels on images; an empty value takes a label away.
func (im *Importer) label(ctx context.Context, names []string, labels map[string]string) error {
	var paths []string
	for name := range labels {
		paths = append(paths, "labels."+name)
	}
	for _, name := range names {
		image, err := im.Client.ImageService().Get(ctx, name)
		if err != nil {
			return err
		}
		if image.Labels == nil {
			image.Labels = map[string]string{}
		}
		for key, value := range labels {
			if value == "" {
				delete(image.Labels, key)
			} else {
				image.Labels[key] = value
			}
		}
		if _, err := im.Client.ImageService().Update(ctx, image, paths...); err != nil {
			return err
		}
	}
	return nil
}
