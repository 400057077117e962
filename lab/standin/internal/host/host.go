// Package host asks the machine what a node needs to know about it and sets the few kernel
// switches that pods need. It never changes the machine's own configuration files.
package host

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Marker is the file by which the lab driver says that a machine is a lab host.
const Marker = "/etc/aiplat/lab-host"

// RequireLab refuses every machine that is not a lab host.
func RequireLab() error {
	if _, err := os.Stat(Marker); err != nil {
		return fmt.Errorf("this is the lab's stand-in for k3s, and %s does not exist, so this machine is not a lab host; install k3s itself here", Marker)
	}
	return nil
}

// DefaultAddress is the IPv4 address of the interface that the default route leaves by.
func DefaultAddress() (netip.Addr, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, route := range routes {
		if route.Dst != nil && !route.Dst.IP.IsUnspecified() {
			continue
		}
		if route.Src != nil {
			ip, _ := netip.AddrFromSlice(route.Src.To4())
			return ip, nil
		}
		link, err := netlink.LinkByIndex(route.LinkIndex)
		if err != nil {
			return netip.Addr{}, err
		}
		addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
		if err != nil {
			return netip.Addr{}, err
		}
		for _, addr := range addrs {
			if ip, ok := netip.AddrFromSlice(addr.IP.To4()); ok && ip.IsGlobalUnicast() {
				return ip, nil
			}
		}
	}
	return netip.Addr{}, errors.New(`no default routes found in "/proc/net/route" or "/proc/net/ipv6_route"`)
}

// resolvFiles are tried in this order when `resolv-conf` is not set.
var resolvFiles = []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"}

// ResolvConf finds a file with a nameserver that pods can use. k3s writes one with 8.8.8.8 when
// there is none; a lab must not ask the outside, so here that is an error.
func ResolvConf(configured string) (string, error) {
	if configured != "" {
		if _, err := os.Stat(configured); err != nil {
			return "", fmt.Errorf("resolv-conf: %w", err)
		}
		return configured, nil
	}
	for _, path := range resolvFiles {
		data, err := os.ReadFile(path)
		if err == nil && usableNameserver(string(data)) {
			return path, nil
		}
	}
	return "", fmt.Errorf("no nameserver that pods could use in %s: k3s would fall back to the public 8.8.8.8 here; set resolv-conf", strings.Join(resolvFiles, " or "))
}

func usableNameserver(text string) bool {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		ip := net.ParseIP(fields[1])
		if ip != nil && ip.IsGlobalUnicast() {
			return true
		}
	}
	return false
}

// CgroupV2 says whether the machine uses the unified cgroup tree.
func CgroupV2() bool {
	var stat unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &stat) == nil && stat.Type == unix.CGROUP2_SUPER_MAGIC
}

// Systemd says whether systemd runs the machine.
func Systemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

// MakeDataDir makes the folder of everything k3s', which anybody may look into, as in k3s; what is
// private below it has modes of its own.
func MakeDataDir(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(path, 0o755)
}

const capSysResource = 24

// MayLowerOOMScore says whether this process may give a child a lower oom_score_adj.
func MayLowerOOMScore() bool {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, "CapEff:"); ok {
			caps, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
			return err == nil && caps&(1<<capSysResource) != 0
		}
	}
	return false
}

// settings are what k3s' agent sets in the kernel of a node when it starts; those of IPv6 where it has
// an address of that family. They stay when it ends.
var settings = []struct{ name, value string }{
	{"net/ipv4/conf/all/forwarding", "1"},
	{"net/ipv4/conf/default/forwarding", "1"},
	{"net/bridge/bridge-nf-call-iptables", "1"},
	{"net/ipv6/conf/all/forwarding", "1"},
	{"net/ipv6/conf/default/forwarding", "1"},
	{"net/bridge/bridge-nf-call-ip6tables", "1"},
	{"net/netfilter/nf_conntrack_tcp_timeout_established", "86400"},
	{"net/netfilter/nf_conntrack_tcp_timeout_close_wait", "3600"},
}

// SetKernel lets the machine route packets between pods and other nodes, past its own rules. Like
// k3s it only says what it may not set.
func SetKernel(ipv6 bool) {
	for _, s := range settings {
		if !ipv6 && (strings.Contains(s.name, "ipv6") || strings.Contains(s.name, "ip6tables")) {
			continue
		}
		path := filepath.Join("/proc/sys", s.name)
		if data, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(data)) == s.value {
			continue
		}
		if err := os.WriteFile(path, []byte(s.value), 0o644); err != nil {
			slog.Warn("Failed to set sysctl", "name", s.name, "error", err)
		}
	}
}
