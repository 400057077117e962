// Package netpol enforces NetworkPolicies.
package netpol

import (
	"context"
	"net/netip"

	"k8s.io/client-go/informers"
)

// Run is filled in next.
func Run(ctx context.Context, factory informers.SharedInformerFactory, node string, ip netip.Addr) error {
	<-ctx.Done()
	return nil
}
