package netpol

import (
	"context"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"
)

// Table is the nftables table that holds everything here.
const Table = "standin-netpol"

// apply replaces the whole table in one transaction, so that no packet ever meets half of it.
func apply(ctx context.Context, nft knftables.Interface, rules Ruleset) error {
	tx := nft.NewTransaction()
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	tx.Add(&knftables.Table{Comment: knftables.PtrTo("NetworkPolicies of this node's pods")})
	for _, name := range keys(rules.Addrs) {
		tx.Add(&knftables.Set{Name: name, Type: "ipv4_addr"})
		for _, item := range rules.Addrs[name] {
			tx.Add(&knftables.Element{Set: name, Key: []string{item}})
		}
	}
	for _, name := range keys(rules.Ports) {
		tx.Add(&knftables.Set{Name: name, Type: "ipv4_addr . inet_service"})
		for _, item := range rules.Ports[name] {
			tx.Add(&knftables.Element{Set: name, Key: strings.Split(item, " . ")})
		}
	}
	for _, name := range keys(rules.Chains) {
		tx.Add(&knftables.Chain{Name: name})
		for _, line := range rules.Chains[name] {
			tx.Add(&knftables.Rule{Chain: name, Rule: line})
		}
		// k3s' controller answers as well, so that a refused client need not wait for a timeout.
		tx.Add(&knftables.Rule{Chain: name, Rule: "reject"})
	}
	addVerdicts(tx, "egress", rules.Egress)
	addVerdicts(tx, "ingress", rules.Ingress)
	addHooks(tx, rules)
	return nft.Run(ctx, tx)
}

func addVerdicts(tx *knftables.Transaction, name string, chains map[string]string) {
	tx.Add(&knftables.Map{Name: name, Type: "ipv4_addr : verdict"})
	for _, ip := range keys(chains) {
		tx.Add(&knftables.Element{Map: name, Key: []string{ip}, Value: []string{"jump " + chains[ip]}})
	}
}

// addHooks ties the chains to where packets pass. What the node itself sends (probes, kubectl)
// takes neither hook and is never filtered, as in k3s; what pods send to the node is.
func addHooks(tx *knftables.Transaction, rules Ruleset) {
	tx.Add(&knftables.Set{Name: "self", Type: "ipv4_addr . ipv4_addr", Comment: knftables.PtrTo("a pod may always reach itself, also by its Service")})
	for _, ip := range sorted(append(keys(rules.Egress), keys(rules.Ingress)...)) {
		tx.Add(&knftables.Element{Set: "self", Key: []string{ip, ip}})
	}
	hooks := []struct {
		name string
		hook knftables.BaseChainHook
		maps []string
	}{
		{"forward", knftables.ForwardHook, []string{"ip saddr vmap @egress", "ip daddr vmap @ingress"}},
		{"input", knftables.InputHook, []string{"ip saddr vmap @egress"}},
	}
	for _, h := range hooks {
		tx.Add(&knftables.Chain{Name: h.name, Type: knftables.PtrTo(knftables.FilterType), Hook: knftables.PtrTo(h.hook),
			Priority: knftables.PtrTo(knftables.FilterPriority)})
		tx.Add(&knftables.Rule{Chain: h.name, Rule: "ct state established,related accept"})
		tx.Add(&knftables.Rule{Chain: h.name, Rule: "ip saddr . ip daddr @self accept"})
		for _, line := range h.maps {
			tx.Add(&knftables.Rule{Chain: h.name, Rule: line})
		}
	}
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for name := range m {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
