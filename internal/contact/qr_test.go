package contact

import (
	"image"
	"image/color"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

var run = regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1`)

// The picture itself is read, by somebody else's reader: what a phone sees is the link.
func TestQRReadsBack(t *testing.T) {
	for _, link := range []string{"https://t.me/berger_bot?start=K7M2Q9XP4TZA", "tel:+4930901230", "https://wa.me/4915123456700?text=Ich%20mache%20hier%20weiter%3A%20K7M2-Q9XP-4TZA", "mailto:service@berger.example?body=Gr%C3%BC%C3%9Fe", "https://x.example/" + strings.Repeat("ä", 100)} {
		svg, err := QR(link, `Ein "<Titel>`)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(svg), "<Titel") {
			t.Error("the title is not escaped")
		}
		size, _ := strconv.Atoi(regexp.MustCompile(`viewBox="0 0 (\d+)`).FindStringSubmatch(string(svg))[1])
		const scale = 4
		img := image.NewGray(image.Rect(0, 0, size*scale, size*scale))
		for i := range img.Pix {
			img.Pix[i] = 255
		}
		for _, m := range run.FindAllStringSubmatch(string(svg), -1) {
			x, _ := strconv.Atoi(m[1])
			y, _ := strconv.Atoi(m[2])
			n, _ := strconv.Atoi(m[3])
			for px := x * scale; px < (x+n)*scale; px++ {
				for py := y * scale; py < (y+1)*scale; py++ {
					img.SetGray(px, py, color.Gray{})
				}
			}
		}
		bits, err := gozxing.NewBinaryBitmapFromImage(img)
		if err != nil {
			t.Fatal(err)
		}
		got, err := qrcode.NewQRCodeReader().Decode(bits, nil)
		if err != nil || got.GetText() != link {
			t.Errorf("%s was read as %v, %v", link, got, err)
		}
	}
	if _, err := QR(strings.Repeat("x", 3000), ""); err == nil {
		t.Error("what is too long has no code")
	}
}
