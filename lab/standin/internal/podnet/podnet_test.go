package podnet

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/knftables"
)

func node(name, cidr, ip string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDR: cidr},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: name}, {Type: corev1.NodeInternalIP, Address: ip}}}}
}

func TestRoutesGoToOtherNodesOnly(t *testing.T) {
	nodes := map[string]*corev1.Node{"s1": node("s1", "10.42.0.0/24", "10.0.0.11"), "a1": node("a1", "10.42.1.0/24", "10.0.0.12"), "new": node("new", "", "10.0.0.13")}
	got := Network{Name: "s1"}.wanted(nodes)
	if len(got) != 1 || got[netip.MustParsePrefix("10.42.1.0/24")] != netip.MustParseAddr("10.0.0.12") {
		t.Error(got)
	}
}

func TestConfigurationServesHostPortsByNftables(t *testing.T) {
	raw, err := json.Marshal(confList("10.42.3.0/24"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"subnet":"10.42.3.0/24"`, `"backend":"nftables"`, `"portMappings":true`, `"type":"ptp"`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("missing %s in %s", want, raw)
		}
	}
}

func TestFence(t *testing.T) {
	fake := knftables.NewFake(knftables.IPv4Family, Table)
	n := Network{ClusterCIDR: netip.MustParsePrefix("10.42.0.0/16"), ServiceCIDR: netip.MustParsePrefix("10.43.0.0/16")}
	if err := fake.Run(context.Background(), n.fenceRules(fake.NewTransaction())); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"outgoing ip saddr 10.42.0.0/16 ip daddr != 10.42.0.0/16 ip daddr != 224.0.0.0/4 masquerade", "strays ip daddr 10.43.0.0/16 drop"} {
		if !strings.Contains(fake.Dump(), want) {
			t.Errorf("missing %q in\n%s", want, fake.Dump())
		}
	}
}
