package images

import (
	"compress/bzip2"
	"compress/gzip"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// zstdWindow is the largest window that k3s' decoder accepts; larger ones are bad archives.
const zstdWindow = 32 << 20

// opener turns a compressed file into the tar stream inside.
type opener func(io.Reader) (io.Reader, error)

var endings = map[string]opener{
	".tar":    func(r io.Reader) (io.Reader, error) { return r, nil },
	".tar.gz": openGzip, ".tgz": openGzip,
	".tar.zst": openZstd, ".tzst": openZstd,
	".tar.bz2": openBzip2, ".tbz": openBzip2,
	".tar.lz4": func(r io.Reader) (io.Reader, error) { return lz4.NewReader(r), nil },
}

func openGzip(r io.Reader) (io.Reader, error)  { return gzip.NewReader(r) }
func openBzip2(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }
func openZstd(r io.Reader) (io.Reader, error) {
	return zstd.NewReader(r, zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderConcurrency(2))
}

// openArchive returns the tar stream of a file, or nil if its name has no ending that counts.
func openArchive(file *os.File) (io.Reader, error) {
	for ending, open := range endings {
		if strings.HasSuffix(file.Name(), ending) {
			return open(file)
		}
	}
	return nil, nil
}

// Wanted says whether a file in the folder is an archive or a list of images to pull.
func Wanted(path string) bool {
	if strings.HasSuffix(path, ".txt") {
		return true
	}
	for ending := range endings {
		if strings.HasSuffix(path, ending) {
			return true
		}
	}
	return false
}
