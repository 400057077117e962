package config

import (
	"strings"
	"testing"

	"aiplat.dev/standin/internal/version"
)

func serverValues(extra Values) Values {
	v := Values{"disable": {"traefik", "servicelb", "metrics-server"}, "node-name": {"S1"}}
	for key, value := range extra {
		v[key] = value
	}
	return v
}

func TestServerDefaults(t *testing.T) {
	s, err := ServerFrom(serverValues(nil))
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "s1" || s.DataDir != "/var/lib/rancher/k3s" || Listed(s.ClusterDNS) != "10.43.0.10" || Listed(s.ServiceIPs()) != "10.43.0.1" {
		t.Errorf("defaults: %+v", s)
	}
	if s.LocalStoragePath != "/var/lib/rancher/k3s/storage" || s.KubeconfigMode != "0600" || s.PauseImage != "rancher/mirrored-pause:"+version.Images().Pause {
		t.Errorf("defaults: %+v", s)
	}
}

func TestBothFamilies(t *testing.T) {
	s, err := ServerFrom(serverValues(Values{"node-ip": {"10.0.0.1", "fd00::1"}, "flannel-ipv6-masq": {"true"},
		"cluster-cidr": {"10.42.0.0/16", "fd42::/56"}, "service-cidr": {"10.43.0.0/16", "fd43::/112"}}))
	if err != nil {
		t.Fatal(err)
	}
	if Listed(s.ClusterDNS) != "10.43.0.10,fd43::a" || Listed(s.ServiceIPs()) != "10.43.0.1,fd43::1" || !s.IPv6Masq {
		t.Errorf("both families: %+v", s)
	}
}

func TestServerRefusals(t *testing.T) {
	cases := map[string]Values{
		"servicelb":     serverValues(Values{"disable": {"traefik", "metrics-server"}}),
		"cluster-cidr":  serverValues(Values{"cluster-cidr": {"10.42.0.0"}}),
		"cluster-dns":   serverValues(Values{"cluster-dns": {"dns"}}),
		"node-ip":       serverValues(Values{"node-ip": {"fd00::1"}}),
		"service-cidr":  serverValues(Values{"service-cidr": {"10.43.0.0/16", "fd00:43::/112"}}),
		"and node-ip:":  serverValues(Values{"node-ip": {"10.0.0.1"}, "cluster-cidr": {"10.42.0.0/16", "fd42::/56"}, "service-cidr": {"10.43.0.0/16", "fd43::/112"}}),
		"IPv4, or that": serverValues(Values{"cluster-cidr": {"fd42::/56", "10.42.0.0/16"}, "service-cidr": {"fd43::/112", "10.43.0.0/16"}}),
	}
	for name, values := range cases {
		if _, err := ServerFrom(values); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
