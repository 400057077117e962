package version

import (
	_ "embed"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

//go:embed images.tsv
var table string

// builtLocalPath is the provisioner that is asked for in place of k3s' own: later versions cannot be
// had as a Go module, so no bundle could hold what is in the table.
const builtLocalPath = "v0.0.30"

// ImageSet are the tags of the images that a release asks for.
type ImageSet struct {
	Pause, CoreDNS, LocalPath, Busybox string
}

// Images are the tags that the release which this stands in for asks for.
func Images() ImageSet {
	set := imagesOf(Version)
	set.LocalPath = builtLocalPath
	return set
}

// imagesOf looks a release up: itself, else the last one of its minor version before it. One of a
// minor version that is not known yet asks for what the newest known one does.
func imagesOf(release string) ImageSet {
	wanted := version.MustParseGeneric(release)
	var found, newest ImageSet
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if strings.HasPrefix(line, "#") || len(fields) != 5 {
			continue
		}
		newest = ImageSet{Pause: fields[1], CoreDNS: fields[2], LocalPath: fields[3], Busybox: fields[4]}
		row := version.MustParseGeneric(fields[0])
		if row.Minor() == wanted.Minor() && !wanted.LessThan(row) && (row.LessThan(wanted) || fields[0] <= release) {
			found = newest
		}
	}
	if found == (ImageSet{}) {
		return newest
	}
	return found
}
