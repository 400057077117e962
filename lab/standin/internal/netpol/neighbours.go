package netpol

import (
	"fmt"

	"github.com/cloudnativelabs/kube-router/v2/pkg/utils"
)

// letNeighboursAsk accepts what finds a pod's hardware address, before the rules of pods: kube-router 2.1.0
// refuses a pod's answer where a policy closes it, and then nobody reaches the pod by IPv6. Later ones let it
// through themselves. The chains are kube-router's, which leaves rules there that it does not know.
func letNeighboursAsk(rules utils.IPTablesHandler) error {
	for _, chain := range []string{"KUBE-ROUTER-INPUT", "KUBE-ROUTER-FORWARD", "KUBE-ROUTER-OUTPUT"} {
		for _, kind := range []string{"neighbour-solicitation", "neighbour-advertisement"} {
			rule := []string{"-p", "ipv6-icmp", "-m", "icmp6", "--icmpv6-type", kind, "-j", "ACCEPT"}
			if err := putFirst(rules, chain, rule); err != nil {
				return fmt.Errorf("ip6tables: %w", err)
			}
		}
	}
	return nil
}

func putFirst(rules utils.IPTablesHandler, chain string, rule []string) error {
	const table = "filter"
	there, err := rules.ChainExists(table, chain)
	if err == nil && !there {
		err = rules.NewChain(table, chain)
	}
	if err != nil {
		return err
	}
	if there, err = rules.Exists(table, chain, rule...); err != nil || there {
		return err
	}
	return rules.Insert(table, chain, 1, rule...)
}
