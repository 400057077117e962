// Package config turns k3s' configuration files, command line and environment into one set of
// values, by k3s' rules of precedence. What a value means is decided in settings.go alone.
package config

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v2"
)

// DefaultFile is read when nothing names another file.
const DefaultFile = "/etc/rancher/k3s/config.yaml"

// entry is one key of the configuration file with its values as text.
type entry struct {
	key    string
	values []string
}

// readFiles reads the main file and its drop-ins into one ordered list of entries.
// A missing file is not an error: k3s starts without one.
func readFiles(path string) ([]entry, error) {
	var merged []entry
	main, err := readSource(path)
	if err != nil {
		return nil, err
	}
	if merged, err = merge(merged, path, main); err != nil {
		return nil, err
	}
	for _, name := range dropIns(path) {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if merged, err = merge(merged, name, data); err != nil {
			return nil, err
		}
	}
	return merged, nil
}

func readSource(path string) ([]byte, error) {
	if strings.HasPrefix(path, "http://") || strings.HasPrefix(path, "https://") {
		client := http.Client{Timeout: 30 * time.Second}
		resp, err := client.Get(path)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: answered %s", path, resp.Status)
		}
		return io.ReadAll(resp.Body)
	}
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	return data, err
}

func dropIns(path string) []string {
	dir := path + ".d"
	items, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, item := range items {
		ext := strings.ToLower(filepath.Ext(item.Name()))
		if !item.IsDir() && (ext == ".yaml" || ext == ".yml") {
			names = append(names, filepath.Join(dir, item.Name()))
		}
	}
	sort.Strings(names)
	return names
}

// merge adds one file's keys: a plain key replaces what stood before, `key+` appends to it.
func merge(into []entry, name string, data []byte) ([]entry, error) {
	var doc yaml.MapSlice
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, item := range doc {
		key := fmt.Sprint(item.Key)
		values, err := texts(item.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, key, err)
		}
		plain, appending := strings.CutSuffix(key, "+")
		into = put(into, plain, values, appending)
	}
	return into, nil
}

func put(into []entry, key string, values []string, appending bool) []entry {
	for i := range into {
		if into[i].key == key {
			if appending {
				values = append(append([]string{}, into[i].values...), values...)
			}
			into[i].values = values
			return into
		}
	}
	return append(into, entry{key: key, values: values})
}

func texts(value any) ([]string, error) {
	switch v := value.(type) {
	case nil:
		return []string{""}, nil
	case []any:
		var out []string
		for _, item := range v {
			one, err := texts(item)
			if err != nil {
				return nil, err
			}
			out = append(out, one...)
		}
		return out, nil
	case yaml.MapSlice:
		return nil, fmt.Errorf("a map is not a value for a key; write a text or a list")
	}
	return []string{fmt.Sprint(value)}, nil
}
