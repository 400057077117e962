package netpol

import (
	"maps"
	"slices"

	"github.com/cloudnativelabs/kube-router/v2/pkg/utils"
)

const six = "inet6" // what ipset calls the family of IPv6

// familySets are the sets of one address family. kube-router 2.1.0 does two things wrong where there are two:
// it makes sets of IPv6 under names that its own rules do not use, and each family writes the other's sets
// again as they were. k3s' copy of it has both mended.
type familySets struct {
	*utils.IPSet
	six bool
}

func newSets(six bool) (familySets, error) {
	// Not told of IPv6, it leaves names as they are; they differ between families anyway.
	sets, err := utils.NewIPSet(false)
	return familySets{IPSet: sets, six: six}, err
}

// RefreshSet gives a set its entries, and makes it in this family where it is not there.
func (s familySets) RefreshSet(name string, entries [][]string, kind string) {
	s.IPSet.RefreshSet(name, entries, kind)
	if set := s.Get(name); s.six && !slices.Contains(set.Options, six) {
		set.Options = append(set.Options, "family", six)
	}
}

// Save reads the sets of this family that the kernel has.
func (s familySets) Save() error {
	if err := s.IPSet.Save(); err != nil {
		return err
	}
	maps.DeleteFunc(s.Sets(), func(_ string, set *utils.Set) bool {
		return slices.Contains(set.Options, six) != s.six
	})
	return nil
}
