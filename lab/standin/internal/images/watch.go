package images

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long a file must stay unchanged before it counts as completely written.
const settle = 2 * time.Second

// Watch imports archives that appear in the folder later, until the context ends.
func (im *Importer) Watch(ctx context.Context) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close()
	if err := watchTree(watcher, im.Dir); err != nil {
		return err
	}
	pending := map[string]time.Time{}
	tick := time.NewTicker(settle / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-watcher.Events:
			if event.Op.Has(fsnotify.Create) {
				_ = watchTree(watcher, event.Name) // a new folder, or a file, which changes nothing
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

func watchTree(watcher *fsnotify.Watcher, root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return watcher.Add(path)
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
