package config

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"aiplat.dev/standin/internal/keys"
)

// Values holds what was set for each key, by name. A key that nobody set is absent.
type Values map[string][]string

// Load gathers the values for a role from the configuration files, the command line and
// the environment. A scalar is taken from the command line, else the files, else the
// environment; lists of files and command line are joined, as k3s' code does it.
func Load(role keys.Role, args []string, env func(string) string) (Values, error) {
	entries, err := readFiles(filePath(args, env))
	if err != nil {
		return nil, err
	}
	values := Values{}
	for _, e := range entries {
		key, known := keys.Find(role, e.key)
		switch {
		case known:
			values[key.Name] = append(values[key.Name], e.values...)
		case role == keys.Agent:
			return nil, undefined(e.key)
		default:
			slog.Warn(fmt.Sprintf("Unknown flag --%s found in config.yaml, skipping", e.key))
		}
	}
	if err := values.addArgs(role, args); err != nil {
		return nil, err
	}
	values.addEnv(role, env)
	return values, values.check(role)
}

// filePath finds the configuration file: the environment wins over the command line here.
func filePath(args []string, env func(string) string) string {
	if path := env("K3S_CONFIG_FILE"); path != "" {
		return path
	}
	for i, arg := range args {
		name, value, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") || (name != "config" && name != "c") {
			continue
		}
		if joined {
			return value
		}
		if i+1 < len(args) {
			return args[i+1]
		}
	}
	return DefaultFile
}

func undefined(name string) error {
	return fmt.Errorf("flag provided but not defined: -%s", name)
}

func (v Values) addArgs(role keys.Role, args []string) error {
	for i := 0; i < len(args); i++ {
		if !strings.HasPrefix(args[i], "-") {
			return fmt.Errorf("unexpected argument %q", args[i])
		}
		name, value, joined := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		key, known := keys.Find(role, name)
		if !known {
			return undefined(name)
		}
		switch {
		case joined:
		case key.Type == "bool":
			value = "true"
		case i+1 < len(args):
			i++
			value = args[i]
		default:
			return fmt.Errorf("flag needs an argument: -%s", name)
		}
		v[key.Name] = append(v[key.Name], value)
	}
	return nil
}

func (v Values) addEnv(role keys.Role, env func(string) string) {
	for _, key := range keys.For(role) {
		// K3S_URL on a server would mean joining etcd; k3s reads it all the same.
		if _, set := v[key.Name]; set || key.Env == "" {
			continue
		}
		if value := env(key.Env); value != "" {
			v[key.Name] = []string{value}
		}
	}
}

func (v Values) check(role keys.Role) error {
	var refused []string
	for _, key := range keys.For(role) {
		values, set := v[key.Name]
		if !set {
			continue
		}
		if key.Split {
			values = strings.Split(strings.Join(values, ","), ",")
			v[key.Name] = values
		}
		if key.Type != "list" {
			values = values[len(values)-1:]
			v[key.Name] = values
			if err := checkType(key, values[0]); err != nil {
				return err
			}
		}
		if why := key.Refusal(role, values); why != "" {
			refused = append(refused, why)
		}
	}
	if len(refused) > 0 {
		return fmt.Errorf("k3s knows these settings and the stand-in does not implement them, so it will not start: %s; take them out of the configuration, or run the test against k3s itself", strings.Join(refused, "; "))
	}
	return nil
}

func checkType(key keys.Key, value string) error {
	var err error
	switch key.Type {
	case "bool":
		if value != "" {
			_, err = strconv.ParseBool(value)
		}
	case "int":
		_, err = strconv.Atoi(value)
	case "duration":
		_, err = time.ParseDuration(value)
	}
	if err != nil {
		return fmt.Errorf("invalid value %q for flag -%s: %s expected", value, key.Name, key.Type)
	}
	return nil
}

// Text returns a scalar value, or the fallback when the key is unset or empty.
func (v Values) Text(name, fallback string) string {
	if values := v[name]; len(values) > 0 && values[len(values)-1] != "" {
		return values[len(values)-1]
	}
	return fallback
}

// Flag returns a boolean value; unset means false.
func (v Values) Flag(name string) bool {
	on, _ := strconv.ParseBool(v.Text(name, "false"))
	return on
}

// List returns the items of a list key without empty ones.
func (v Values) List(name string) []string {
	var out []string
	for _, item := range v[name] {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// Secret returns the value of a key or the content of the file that `<key>-file` names.
func (v Values) Secret(name string) (string, error) {
	if value := v.Text(name, ""); value != "" {
		return value, nil
	}
	path := v.Text(name+"-file", "")
	if path == "" {
		return "", nil
	}
	data, err := os.ReadFile(path)
	return strings.TrimSpace(string(data)), err
}

// DataDir finds the data folder for commands that take nothing else from the configuration.
func DataDir(env func(string) string) string {
	if dir := env("K3S_DATA_DIR"); dir != "" {
		return dir
	}
	entries, err := readFiles(filePath(nil, env))
	if err != nil {
		return DefaultDataDir
	}
	for _, e := range entries {
		if (e.key == "data-dir" || e.key == "d") && len(e.values) > 0 && e.values[0] != "" {
			return e.values[len(e.values)-1]
		}
	}
	return DefaultDataDir
}
