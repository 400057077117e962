package netpol

import (
	"fmt"

	"github.com/cloudnativelabs/kube-router/v2/pkg/utils"
)

const (
	neighbours = "KUBE-ROUTER-NEIGHBOURS" // a reset takes every chain whose name begins so
	complies   = "0x10000/0x10000"        // kube-router's mark of what a policy lets through
)

// letNeighboursAsk marks what finds a pod's hardware address as let through: kube-router 2.1.0 refuses a pod's
// answer where a policy closes it, and then nobody reaches the pod by IPv6. Later ones let it through themselves.
func letNeighboursAsk(rules utils.IPTablesHandler) error {
	const table = "mangle"
	there, err := rules.ChainExists(table, neighbours)
	if err != nil {
		return fmt.Errorf("ip6tables: %w", err)
	}
	if !there {
		if err := rules.NewChain(table, neighbours); err != nil {
			return fmt.Errorf("ip6tables: %w", err)
		}
	}
	for _, kind := range []string{"neighbour-solicitation", "neighbour-advertisement"} {
		rule := []string{"-p", "ipv6-icmp", "-m", "icmp6", "--icmpv6-type", kind, "-j", "MARK", "--set-xmark", complies}
		if err := rules.AppendUnique(table, neighbours, rule...); err != nil {
			return fmt.Errorf("ip6tables: %w", err)
		}
	}
	jump := []string{"-m", "comment", "--comment", "kube-router netpol, neighbours", "-j", neighbours}
	if err := rules.AppendUnique(table, "PREROUTING", jump...); err != nil {
		return fmt.Errorf("ip6tables: %w", err)
	}
	return nil
}
