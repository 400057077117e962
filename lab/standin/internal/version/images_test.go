package version

import "testing"

func TestEachReleaseAsksForItsOwnImages(t *testing.T) {
	for release, want := range map[string]ImageSet{
		"v1.35.0+k3s1": {"3.6", "1.13.1", "v0.0.32", "1.37.0"},
		"v1.35.0+k3s3": {"3.6", "1.14.0", "v0.0.34", "1.37.0"},
		"v1.35.4+k3s1": {"3.6", "1.14.2", "v0.0.35", "1.37.0"},
		"v1.36.3+k3s1": {"3.10.2", "1.14.6", "v0.0.36", "1.37.0"},
	} {
		if got := imagesOf(release); got != want {
			t.Errorf("%s asks for %v, not %v", release, got, want)
		}
	}
	if imagesOf("v1.99.0+k3s1").Pause == "" {
		t.Error("a release of a minor version to come asks for nothing")
	}
}
