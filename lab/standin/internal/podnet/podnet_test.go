package podnet

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/flannel-io/flannel/pkg/subnet"
)

var both = []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16"), netip.MustParsePrefix("fd42::/56")}

func TestFlannelReadsBothFamilies(t *testing.T) {
	data, err := json.Marshal(Network{Backend: "vxlan", ClusterCIDRs: both}.conf())
	if err != nil {
		t.Fatal(err)
	}
	config, err := subnet.ParseConfig(string(data))
	if err != nil || !config.EnableIPv4 || !config.EnableIPv6 || config.IPv6Network.String() != "fd42::/56" {
		t.Errorf("%v %+v", err, config)
	}
}

func TestConfigurationIsABridgeWithHostPorts(t *testing.T) {
	raw, err := json.Marshal(confList([]string{"10.42.3.0/24", "fd42:0:0:3::/64"}, both, 1450))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"bridge":"cni0"`, `"subnet":"10.42.3.0/24"`, `"dst":"10.42.0.0/16"`, `"subnet":"fd42:0:0:3::/64"`, `"dst":"fd42::/56"`, `"mtu":1450`, `"portMappings":true`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("missing %s in %s", want, raw)
		}
	}
	if strings.Contains(string(raw), "backend") {
		t.Error("host ports must be left to the plugin's default, iptables")
	}
}

func TestFlannelReadsWhatIsWrittenForIt(t *testing.T) {
	for _, kind := range []string{"vxlan", "host-gw"} {
		n := Network{Backend: kind, ClusterCIDRs: both[:1]}
		data, err := json.Marshal(n.conf())
		if err != nil {
			t.Fatal(err)
		}
		config, err := subnet.ParseConfig(string(data))
		if err != nil || config.BackendType != kind || config.Network.String() != "10.42.0.0/16" || config.EnableIPv6 {
			t.Errorf("%v %+v", err, config)
		}
	}
}
