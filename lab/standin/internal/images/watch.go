package images

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long a file must stay unchanged before it counts as completely written.
const settle = 2 * time.Second

// Watch imports archives that appear in the folder later, or with it, until the context ends.
func (im *Importer) Watch(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close()
	if err := watcher.Add(filepath.Dir(im.Dir)); err != nil {
		return err
	}
	pending := map[string]time.Time{}
	if err := im.watchTree(watcher, im.Dir, nil); err != nil && !os.IsNotExist(err) {
		return err
	}
	tick := time.NewTicker(settle / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-watcher.Events:
			if !im.holds(event.Name) {
				continue
			}
			if event.Op.Has(fsnotify.Create) {
				_ = im.watchTree(watcher, event.Name, pending) // a new folder, or a file, which changes nothing
			}
			if Wanted(event.Name) && (event.Op.Has(fsnotify.Create) || event.Op.Has(fsnotify.Write)) {
				pending[event.Name] = time.Now()
			}
		case err := <-watcher.Errors:
			slog.Warn("watching "+im.Dir, "error", err)
		case now := <-tick.C:
			im.importSettled(ctx, pending, now)
		}
	}
}

// holds says whether a path is the folder or lies in it; what else appears beside it is not ours.
func (im *Importer) holds(path string) bool {
	return path == im.Dir || strings.HasPrefix(path, im.Dir+string(filepath.Separator))
}

// watchTree watches a folder and those below it. What was written into a new one before it was
// watched becomes pending too; a nil map means that this has been imported already.
func (im *Importer) watchTree(watcher *fsnotify.Watcher, root string, pending map[string]time.Time) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return watcher.Add(path)
		case pending != nil && Wanted(path):
			pending[path] = time.Now()
		}
		return nil
	})
}

func (im *Importer) importSettled(ctx context.Context, pending map[string]time.Time, now time.Time) {
	for path, changed := range pending {
		if now.Sub(changed) < settle {
			continue
		}
		delete(pending, path)
		if _, err := os.Stat(path); err != nil {
			continue // renamed or removed meanwhile
		}
		known := loadCache(im.Dir)
		im.importOne(ctx, path, known)
		if err := known.save(); err != nil {
			slog.Warn("writing "+known.path, "error", err)
		}
	}
}
