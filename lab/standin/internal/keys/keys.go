// Package keys knows the names, types and scopes of k3s' configuration keys, and which of
// them the stand-in implements. Reading values is the business of package config.
package keys

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed keys.tsv
var table string

// Role is the k3s command a key belongs to.
type Role string

// The two commands that read a configuration.
const (
	Server Role = "server"
	Agent  Role = "agent"
)

// Key describes one configuration key.
type Key struct {
	Name    string
	Type    string // string, bool, int, duration, list
	Scope   string // server, agent, both
	Alias   string // one letter, or empty
	Env     string // environment variable, or empty
	Split   bool   // a value may hold several items, separated by commas
	Support string // yes, no, agent, values=A,B
	Default string
}

var all = parse(table)

func parse(text string) []Key {
	var out []Key
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		for i := range f {
			if f[i] == "-" {
				f[i] = ""
			}
		}
		out = append(out, Key{Name: f[0], Type: f[1], Scope: f[2], Alias: f[3], Env: f[4],
			Split: f[5] == "split", Support: f[6], Default: f[7]})
	}
	return out
}

// For returns the keys that a role knows, in the order of their names.
func For(role Role) []Key {
	var out []Key
	for _, k := range all {
		if k.Scope == "both" || k.Scope == string(role) {
			out = append(out, k)
		}
	}
	return out
}

// Find looks a name or one-letter alias up among the keys of a role.
func Find(role Role, name string) (Key, bool) {
	for _, k := range For(role) {
		if k.Name == name || (k.Alias != "" && k.Alias == name) {
			return k, true
		}
	}
	return Key{}, false
}

// Refusal says why the stand-in cannot honour these values of the key, or nothing.
// A key that is set to k3s' own default changes nothing, so it is let through.
func (k Key) Refusal(role Role, values []string) string {
	switch {
	case k.Support == "yes", k.Support == "agent" && role == Agent:
		return ""
	case strings.HasPrefix(k.Support, "values="):
		allowed := strings.Split(strings.TrimPrefix(k.Support, "values="), ",")
		for _, v := range values {
			if !slices.Contains(allowed, v) {
				return fmt.Sprintf("%s: %s (only %s)", k.Name, v, strings.Join(allowed, ", "))
			}
		}
		return ""
	}
	for _, v := range values {
		if v != k.Default {
			return k.Name
		}
	}
	return ""
}
