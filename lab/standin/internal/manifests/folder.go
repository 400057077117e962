package manifests

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// file is one manifest of the folder.
type file struct {
	path     string
	stem     string
	checksum string
	objects  []*unstructured.Unstructured
}

var endings = []string{".yaml", ".yml", ".json"}

// scan lists the manifests that count: no hidden files, none with a `.skip` beside it.
func scan(dir string) ([]string, error) {
	var paths []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(entry.Name(), ".") && path != dir
		if entry.IsDir() {
			if hidden {
				return fs.SkipDir
			}
			return nil
		}
		if hidden || !slices.Contains(endings, strings.ToLower(filepath.Ext(path))) {
			return nil
		}
		if _, err := os.Stat(path + ".skip"); err == nil {
			return nil
		}
		paths = append(paths, path)
		return nil
	})
	return paths, err
}

// off says whether `disable` names a manifest, by its own name or by a folder it lies in.
func off(dir, path string, disabled []string) bool {
	relative, err := filepath.Rel(dir, path)
	if err != nil {
		return false
	}
	if slices.Contains(disabled, stem(path)) {
		return true
	}
	parts := strings.Split(filepath.Dir(relative), string(filepath.Separator))
	return slices.ContainsFunc(parts, func(p string) bool { return slices.Contains(disabled, p) })
}

func read(path string) (file, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return file{}, err
	}
	sum := sha256.Sum256(data)
	objects, err := decode(data)
	if err != nil {
		return file{}, fmt.Errorf("%s: %w", path, err)
	}
	return file{path: path, stem: stem(path), checksum: hex.EncodeToString(sum[:]), objects: objects}, nil
}

// decode takes a file's documents apart, and lists into their items.
func decode(data []byte) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if len(object.Object) == 0 {
			continue
		}
		if !object.IsList() {
			out = append(out, object)
			continue
		}
		err = object.EachListItem(func(item runtimeObject) error {
			out = append(out, item.(*unstructured.Unstructured))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
}
