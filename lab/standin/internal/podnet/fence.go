package podnet

import (
	"context"
	"fmt"

	"sigs.k8s.io/knftables"
)

// Table is the nftables table for what crosses the edge of the pod network.
const Table = "standin-podnet"

// fence hides pods behind the node's address when they talk to anything but pods, and stops
// packets to Services that kube-proxy has not (yet) turned into packets to pods: those would
// leave by the default route.
func (n Network) fence(ctx context.Context) error {
	nft, err := knftables.New(knftables.IPv4Family, Table)
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return nft.Run(ctx, n.fenceRules(nft.NewTransaction()))
}

func (n Network) fenceRules(tx *knftables.Transaction) *knftables.Transaction {
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	tx.Add(&knftables.Table{Comment: knftables.PtrTo("the edge of the pod network")})
	tx.Add(&knftables.Chain{Name: "outgoing", Type: knftables.PtrTo(knftables.NATType),
		Hook: knftables.PtrTo(knftables.PostroutingHook), Priority: knftables.PtrTo(knftables.SNATPriority)})
	tx.Add(&knftables.Rule{Chain: "outgoing", Rule: knftables.Concat(
		"ip saddr", n.ClusterCIDR, "ip daddr !=", n.ClusterCIDR, "ip daddr != 224.0.0.0/4", "masquerade")})
	tx.Add(&knftables.Chain{Name: "strays", Type: knftables.PtrTo(knftables.FilterType),
		Hook: knftables.PtrTo(knftables.PostroutingHook), Priority: knftables.PtrTo(knftables.FilterPriority)})
	tx.Add(&knftables.Rule{Chain: "strays", Rule: knftables.Concat("ip daddr", n.ServiceCIDR, "drop")})
	return tx
}
