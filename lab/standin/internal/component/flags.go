package component

import (
	"sort"
	"strings"
)

// Flags are a component's flags by name, without dashes.
type Flags map[string]string

// Args writes the flags in the order of their names, with the user's own `name=value` pairs in
// place of ours: a k3s user can override each flag, and repeat those that may be repeated.
func (f Flags) Args(user []string) []string {
	overridden := map[string]bool{}
	var extra []string
	for _, arg := range user {
		arg = strings.TrimLeft(arg, "-")
		name, _, _ := strings.Cut(arg, "=")
		overridden[name] = true
		extra = append(extra, "--"+arg)
	}
	var args []string
	for name, value := range f {
		if !overridden[name] {
			args = append(args, "--"+name+"="+value)
		}
	}
	sort.Strings(args)
	return append(args, extra...)
}
