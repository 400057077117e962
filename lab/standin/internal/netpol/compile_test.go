package netpol

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/knftables"
	"sigs.k8s.io/yaml"
)

func pod(namespace, name, node, ip string, ports ...corev1.ContainerPort) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Ports: ports}}},
		Status:     corev1.PodStatus{PodIP: ip, Phase: corev1.PodRunning},
	}
}

// cluster has a web server on this node, a client beside it and one in another namespace.
func cluster(t *testing.T, policies ...string) State {
	t.Helper()
	s := State{Node: "here", Namespaces: map[string]*corev1.Namespace{}}
	for _, name := range []string{"shop", "other"} {
		s.Namespaces[name] = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": name}}}
	}
	http := corev1.ContainerPort{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}
	s.Pods = []*corev1.Pod{pod("shop", "web", "here", "10.42.0.2", http), pod("shop", "client", "here", "10.42.0.3"),
		pod("other", "client", "there", "10.42.1.2"), pod("other", "web", "there", "10.42.1.3", corev1.ContainerPort{Name: "http", ContainerPort: 9090})}
	for _, text := range policies {
		policy := &networkingv1.NetworkPolicy{}
		if err := yaml.UnmarshalStrict([]byte(text), policy); err != nil {
			t.Fatal(err)
		}
		policy.Namespace = "shop"
		if policy.Name == "" {
			policy.Name = "p"
		}
		s.Policies = append(s.Policies, policy)
	}
	return s
}

// lines returns the rules for a pod's address, with the sets' contents in place of their names.
func lines(r Ruleset, chains map[string]string, ip string) []string {
	var out []string
	for _, line := range r.Chains[chains[ip]] {
		for name, items := range r.Addrs {
			line = strings.ReplaceAll(line, "@"+name, "{"+strings.Join(items, ", ")+"}")
		}
		for name, items := range r.Ports {
			line = strings.ReplaceAll(line, "@"+name, "{"+strings.Join(items, ", ")+"}")
		}
		out = append(out, line)
	}
	return out
}

const web, client = "10.42.0.2", "10.42.0.3"

func TestPodsWithoutPolicyAreLeftAlone(t *testing.T) {
	got := Compile(cluster(t, `spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}`))
	if _, isolated := got.Ingress[client]; isolated || len(got.Egress) != 0 || got.Ingress[web] == "" {
		t.Errorf("%+v", got)
	}
}

func TestDefaultDenyBothDirections(t *testing.T) {
	got := Compile(cluster(t, `spec: {podSelector: {}, policyTypes: [Ingress, Egress]}`))
	for _, ip := range []string{web, client} {
		if got.Ingress[ip] == "" || got.Egress[ip] == "" || len(got.Chains[got.Ingress[ip]]) != 0 {
			t.Errorf("%s: %+v", ip, got)
		}
	}
	if _, remote := got.Ingress["10.42.1.2"]; remote {
		t.Error("a pod of another node is judged here")
	}
}

func TestRules(t *testing.T) {
	cases := []struct {
		name, spec string
		egress     bool
		want       []string
	}{
		{"pod selector and number", `{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 80}]}]}`, false,
			[]string{"ip saddr {10.42.0.3} tcp dport 80 return"}},
		{"namespace and pod selector together", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: other}}, podSelector: {matchLabels: {app: client}}}]}]}`, false,
			[]string{"ip saddr {10.42.1.2} return"}},
		{"namespace selector or pod selector", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: other}}}, {podSelector: {matchLabels: {app: client}}}]}]}`, false,
			[]string{"ip saddr {10.42.0.3, 10.42.1.2, 10.42.1.3} return"}},
		{"everybody", `{podSelector: {}, ingress: [{}]}`, false, []string{"return"}},
		{"every namespace", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}`, false,
			[]string{"ip saddr {10.42.0.2, 10.42.0.3, 10.42.1.2, 10.42.1.3} return"}},
		{"block with exceptions", `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.2.0.0/16, 10.1.0.0/16]}}]}]}`, false,
			[]string{"ip saddr 10.0.0.0/8 ip saddr != 10.1.0.0/16 ip saddr != 10.2.0.0/16 return"}},
		{"port range and protocols", `{podSelector: {}, ingress: [{ports: [{port: 80, endPort: 90}, {port: 53, protocol: UDP}, {protocol: SCTP}]}]}`, false,
			[]string{"tcp dport 80-90 return", "udp dport 53 return", "meta l4proto sctp return"}},
		{"named port of the pod itself", `{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: http}]}]}`, false,
			[]string{"ip daddr . tcp dport {10.42.0.2 . 8080} return"}},
		{"egress to a named port of others", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {team: other}}}], ports: [{port: http}]}]}`, true,
			[]string{"ip daddr {10.42.1.2, 10.42.1.3} ip daddr . tcp dport {10.42.1.3 . 9090} return"}},
		{"egress to a block and to pods", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24}}, {podSelector: {}}], ports: [{port: 443}]}]}`, true,
			[]string{"ip daddr 192.0.2.0/24 tcp dport 443 return", "ip daddr {10.42.0.2, 10.42.0.3} tcp dport 443 return"}},
		{"a selector that nobody fits", `{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: nobody}}}]}]}`, false,
			[]string{"ip saddr {} return"}},
		{"all of IPv4", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}]}`, true,
			[]string{"meta nfproto ipv4 ip daddr != 10.0.0.0/8 return"}},
		{"IPv6 matches nobody", `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "fd00::/8"}}]}]}`, false, nil},
	}
	for _, c := range cases {
		got := Compile(cluster(t, "spec: "+c.spec))
		chains := got.Ingress
		if c.egress {
			chains = got.Egress
		}
		if chains[web] == "" {
			t.Errorf("%s: the pod is not isolated", c.name)
		}
		if lines := lines(got, chains, web); !slices.Equal(lines, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, lines, c.want)
		}
	}
}

func TestPoliciesAddUp(t *testing.T) {
	s := cluster(t, "metadata: {name: a}\nspec: {podSelector: {}, ingress: [{ports: [{port: 1}]}]}", "metadata: {name: b}\nspec: {podSelector: {}, ingress: [{ports: [{port: 2}]}]}")
	first := Compile(s)
	if got := lines(first, first.Ingress, web); !slices.Equal(got, []string{"tcp dport 1 return", "tcp dport 2 return"}) {
		t.Error(got)
	}
	slices.Reverse(s.Policies)
	if !reflect.DeepEqual(first, Compile(s)) {
		t.Error("the order of a cache changes the rules")
	}
}

func TestPolicyWithoutTypes(t *testing.T) {
	got := Compile(cluster(t, `spec: {podSelector: {}, egress: [{}]}`))
	if got.Ingress[web] == "" || got.Egress[web] == "" {
		t.Error("egress rules must isolate both ways when no types are given")
	}
	got = Compile(cluster(t, `spec: {podSelector: {}}`))
	if got.Ingress[web] == "" || got.Egress[web] != "" {
		t.Error("without egress rules only ingress is isolated")
	}
}

func TestHostNetworkAndFinishedPodsHaveNoAddress(t *testing.T) {
	s := cluster(t, `spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}`)
	s.Pods[0].Spec.HostNetwork = true
	s.Pods[1].Status.Phase = corev1.PodSucceeded
	if got := Compile(s); len(got.Ingress) != 0 {
		t.Errorf("%+v", got.Ingress)
	}
}

func TestRulesReachNftables(t *testing.T) {
	fake := knftables.NewFake(knftables.IPv4Family, Table)
	got := Compile(cluster(t, `spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: http}]}]}`))
	for range 2 { // the second time replaces the first
		if err := apply(context.Background(), fake, got); err != nil {
			t.Fatal(err)
		}
	}
	dump := fake.Dump()
	for _, want := range []string{
		"add element ip standin-netpol ingress { 10.42.0.2 : jump " + got.Ingress[web] + " }",
		"add rule ip standin-netpol " + got.Ingress[web] + " reject",
		"add rule ip standin-netpol forward ip daddr vmap @ingress",
		"add rule ip standin-netpol input ip saddr vmap @egress",
		"add element ip standin-netpol self { 10.42.0.2 . 10.42.0.2 }",
	} {
		if !strings.Contains(dump, want) {
			t.Errorf("missing %q in\n%s", want, dump)
		}
	}
}
