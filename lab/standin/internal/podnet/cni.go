// Package podnet gives pods their network: the CNI configuration of this node, one route to each
// other node's pods, and masquerading for what leaves the pod network. Filtering is netpol's.
package podnet

import (
	"encoding/json"
	"net/netip"
	"path/filepath"

	"aiplat.dev/standin/internal/pki"
)

// Network is what a node has to know about the pod network.
type Network struct {
	Name        string // this node
	ClusterCIDR netip.Prefix
	ServiceCIDR netip.Prefix
	ConfDir     string // where containerd reads CNI configuration
}

// confList is the CNI configuration for a node's pods. Each pod gets a routed point-to-point
// link instead of a port on a bridge: then every packet between pods passes the host's forward
// hook, where network policies are enforced, also between two pods of one node.
func confList(podCIDR string) map[string]any {
	return map[string]any{
		"cniVersion": "1.0.0", "name": "cbr0",
		"plugins": []any{
			map[string]any{
				"type": "ptp", "ipMasq": false,
				"ipam": map[string]any{
					"type": "host-local", "ranges": []any{[]any{map[string]any{"subnet": podCIDR}}},
					"routes":  []any{map[string]any{"dst": "0.0.0.0/0"}},
					"dataDir": "/var/lib/cni/networks",
				},
			},
			map[string]any{"type": "portmap", "capabilities": map[string]any{"portMappings": true}, "backend": "nftables"},
		},
	}
}

func (n Network) writeConf(podCIDR string) error {
	data, err := json.MarshalIndent(confList(podCIDR), "", "  ")
	if err != nil {
		return err
	}
	return pki.WriteFile(filepath.Join(n.ConfDir, "10-flannel.conflist"), append(data, '\n'), 0o600)
}
