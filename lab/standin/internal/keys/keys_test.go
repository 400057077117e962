package keys

import (
	"strings"
	"testing"
)

// The numbers are those of k3s 1.36.3; a line lost from the table would make a role's key unknown.
func TestTableHoldsEveryKeyOfBothCommands(t *testing.T) {
	if n := len(For(Server)); n != 125 {
		t.Errorf("server knows %d keys, k3s 1.36.3 knows 125", n)
	}
	if n := len(For(Agent)); n != 46 {
		t.Errorf("agent knows %d keys, k3s 1.36.3 knows 46", n)
	}
}

func TestTableIsWellFormed(t *testing.T) {
	types := "string bool int duration list"
	seen := map[string]bool{}
	for _, k := range all {
		if seen[k.Name] {
			t.Errorf("%s stands twice in the table", k.Name)
		}
		seen[k.Name] = true
		if !strings.Contains(types, k.Type) || !strings.Contains("server agent both", k.Scope) {
			t.Errorf("%s: type %q, scope %q", k.Name, k.Type, k.Scope)
		}
		if k.Support != "yes" && k.Support != "no" && k.Support != "agent" && !strings.HasPrefix(k.Support, "values=") {
			t.Errorf("%s: support %q", k.Name, k.Support)
		}
	}
}

func TestRefusal(t *testing.T) {
	cases := []struct {
		role    Role
		key     string
		values  []string
		refused bool
	}{
		{Server, "node-label", []string{"a=b"}, false},
		{Server, "cluster-init", []string{"true"}, true},
		{Server, "cluster-init", []string{"false"}, false}, // k3s' own default changes nothing
		{Server, "flannel-backend", []string{"host-gw"}, false},
		{Server, "flannel-backend", []string{"wireguard-native"}, true},
		{Server, "server", []string{"https://10.0.0.1:6443"}, true},
		{Agent, "server", []string{"https://10.0.0.1:6443"}, false},
		{Agent, "docker", []string{"true"}, true},
		{Server, "etcd-s3-timeout", []string{"5m0s"}, false},
		{Server, "etcd-arg", []string{"quota-backend-bytes=1"}, true},
	}
	for _, c := range cases {
		key, ok := Find(c.role, c.key)
		if !ok {
			t.Fatalf("%s is unknown to %s", c.key, c.role)
		}
		if why := key.Refusal(c.role, c.values); (why != "") != c.refused {
			t.Errorf("%s %s=%v: refusal %q", c.role, c.key, c.values, why)
		}
	}
}

func TestAliasFindsTheKey(t *testing.T) {
	for alias, name := range map[string]string{"t": "token", "s": "server", "d": "data-dir", "c": "config", "i": "node-ip"} {
		if key, ok := Find(Agent, alias); !ok || key.Name != name {
			t.Errorf("-%s gives %q, want %q", alias, key.Name, name)
		}
	}
}
