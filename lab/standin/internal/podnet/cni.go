package podnet

import (
	"encoding/json"
	"net/netip"
	"path/filepath"

	"aiplat.dev/standin/internal/pki"
)

// confList is the CNI configuration for a node's pods: what flannel's plugin would hand on to the
// bridge plugin, written out, and host ports by iptables.
func confList(podCIDRs []string, cluster []netip.Prefix, mtu int) map[string]any {
	var ranges, routes []any
	for _, podCIDR := range podCIDRs {
		ranges = append(ranges, []any{map[string]any{"subnet": podCIDR}})
	}
	for _, network := range cluster {
		routes = append(routes, map[string]any{"dst": network.String()})
	}
	return map[string]any{
		"cniVersion": "1.0.0", "name": "cbr0",
		"plugins": []any{
			map[string]any{
				"type": "bridge", "bridge": "cni0", "hairpinMode": true, "forceAddress": true, "isGateway": true,
				"isDefaultGateway": true, "ipMasq": false, "mtu": mtu,
				"ipam": map[string]any{"type": "host-local", "ranges": ranges, "routes": routes},
			},
			map[string]any{"type": "portmap", "capabilities": map[string]any{"portMappings": true}},
		},
	}
}

func (n Network) writeConf(podCIDRs []string, mtu int) error {
	data, err := json.MarshalIndent(confList(podCIDRs, n.ClusterCIDRs, mtu), "", "  ")
	if err != nil {
		return err
	}
	return pki.WriteFile(filepath.Join(n.ConfDir, "10-flannel.conflist"), append(data, '\n'), 0o600)
}
