package sim

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
)

// Picture draws a small picture: "auto" (a dented car), "wasser" (a stain on a ceiling), "hagel" (dents), "scheibe" (a
// cracked windscreen), "fahrrad" (a cut lock), "brief" (a photographed letter) as JPEG, "logo" and "banner" as PNG. It
// is the same for the same variant.
func Picture(what string, variant int) []byte {
	rng := rand.New(rand.NewPCG(uint64(variant), 7))
	w, h := 480, 360
	switch what {
	case "logo":
		w, h = 240, 80
	case "banner":
		w, h = 600, 120
	}
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	fill := func(x0, y0, x1, y1 int, c color.RGBA) {
		for y := max(y0, 0); y < min(y1, h); y++ {
			for x := max(x0, 0); x < min(x1, w); x++ {
				img.SetRGBA(x, y, c)
			}
		}
	}
	disc := func(cx, cy, r float64, c color.RGBA, alpha float64) {
		for y := max(int(cy-r), 0); y <= min(int(cy+r), h-1); y++ {
			for x := max(int(cx-r), 0); x <= min(int(cx+r), w-1); x++ {
				if d := math.Hypot(float64(x)-cx, float64(y)-cy); d < r {
					a := alpha * min(1, (r-d)/3)
					o := img.RGBAAt(x, y)
					mix := func(p, q uint8) uint8 { return uint8(float64(p)*(1-a) + float64(q)*a) }
					img.SetRGBA(x, y, color.RGBA{mix(o.R, c.R), mix(o.G, c.G), mix(o.B, c.B), 255})
				}
			}
		}
	}
	line := func(x0, y0, x1, y1, width float64, c color.RGBA) {
		n := int(math.Hypot(x1-x0, y1-y0)) + 1
		for i := range n {
			t := float64(i) / float64(n)
			disc(x0+(x1-x0)*t, y0+(y1-y0)*t, width, c, 1)
		}
	}
	hue := func(deg int, s, v float64) color.RGBA {
		f := func(n float64) uint8 {
			k := math.Mod(n+float64(deg)/60, 6)
			return uint8(255 * (v - v*s*max(0, min(k, 4-k, 1))))
		}
		return color.RGBA{f(5), f(3), f(1), 255}
	}
	W, H := float64(w), float64(h)
	paint := hue(variant*47%360, .65, .7)
	dark, grey := color.RGBA{38, 38, 44, 255}, color.RGBA{122, 124, 128, 255}
	switch what {
	case "logo":
		fill(0, 0, w, h, color.RGBA{255, 255, 255, 255})
		fill(8, 8, 72, 72, paint)
		disc(40, 40, 22, color.RGBA{255, 255, 255, 255}, 1)
		fill(88, 22, 226, 36, dark)
		fill(88, 46, 180, 56, grey)
	case "banner":
		fill(0, 0, w, h, color.RGBA{238, 243, 230, 255})
		for i := range 6 {
			disc(60+float64(i)*95, 62, 34, hue(60+i*40, .4, .85), 1)
		}
	case "wasser":
		fill(0, 0, w, h, color.RGBA{226, 222, 212, 255})
		for range 28 {
			disc(W*(.3+.4*rng.Float64()), H*(.25+.4*rng.Float64()), 30+60*rng.Float64(), color.RGBA{158, 132, 92, 255}, .22)
		}
		for range 14 {
			x := W * (.3 + .4*rng.Float64())
			line(x, H*.55, x, H*(.65+.3*rng.Float64()), 1.2, color.RGBA{140, 118, 86, 255})
		}
	case "fahrrad":
		fill(0, 0, w, h, color.RGBA{168, 170, 160, 255})
		fill(0, h*2/3, w, h, grey)
		fill(w/2-12, 40, w/2+12, h-40, color.RGBA{72, 86, 82, 255})
		for a := .3; a < 5.4; a += .02 {
			disc(W/2+90*math.Cos(a), H*.62+60*math.Sin(a), 6, dark, 1)
		}
	case "brief":
		fill(0, 0, w, h, color.RGBA{112, 84, 60, 255})
		fill(70, 20, w-70, h-10, color.RGBA{246, 244, 238, 255})
		for y := 60; y < h-40; y += 16 {
			fill(100, y, 100+int(float64(w-230)*(.4+.6*rng.Float64())), y+4, grey)
		}
	default: // a car, seen from its side
		fill(0, 0, w, h, color.RGBA{190, 204, 216, 255})
		fill(0, h*3/4, w, h, color.RGBA{96, 96, 98, 255})
		fill(60, 150, w-50, 270, paint)
		fill(140, 90, w-130, 150, paint)
		fill(155, 100, w/2-8, 148, color.RGBA{200, 226, 236, 255})
		fill(w/2+8, 100, w-145, 148, color.RGBA{200, 226, 236, 255})
		disc(140, 270, 44, dark, 1)
		disc(W-130, 270, 44, dark, 1)
		disc(140, 270, 22, grey, 1)
		disc(W-130, 270, 22, grey, 1)
		switch what {
		case "hagel":
			for range 70 {
				x, y := 70+rng.Float64()*(W-130), 95+rng.Float64()*160
				disc(x, y, 5, dark, .45)
				disc(x-1.5, y-1.5, 2.5, color.RGBA{255, 255, 255, 255}, .6)
			}
		case "scheibe":
			x, y := 190+rng.Float64()*40, 115+rng.Float64()*15
			for range 9 {
				a := rng.Float64() * 2 * math.Pi
				line(x, y, x+40*math.Cos(a), y+30*math.Sin(a), .9, color.RGBA{255, 255, 255, 255})
			}
			disc(x, y, 6, dark, .8)
		default:
			x := W - 70
			if variant%2 == 0 {
				x = 80
			}
			for range 12 {
				disc(x+rng.Float64()*50-25, 195+rng.Float64()*50, 10+14*rng.Float64(), dark, .3)
			}
			for range 7 {
				y := 170 + rng.Float64()*80
				line(x-40, y, x+30*rng.Float64(), y+16*rng.Float64(), 1, color.RGBA{230, 230, 230, 255})
			}
		}
	}
	var b bytes.Buffer
	if what == "logo" || what == "banner" {
		_ = png.Encode(&b, img) // a buffer does not fail
		return b.Bytes()
	}
	for i := 0; i < len(img.Pix); i += 4 { // grain, as cameras have
		n := rng.IntN(13) - 6
		for j := range 3 {
			img.Pix[i+j] = uint8(min(max(int(img.Pix[i+j])+n, 0), 255))
		}
	}
	_ = jpeg.Encode(&b, img, &jpeg.Options{Quality: 72})
	return b.Bytes()
}

// Document makes a PDF of one page with a heading and lines of text (PDF 1.4, ISO 32000-1; Helvetica in WinAnsi).
func Document(title string, lines ...string) []byte {
	var page strings.Builder
	text := func(size, x, y int, s string) {
		fmt.Fprintf(&page, "BT /F1 %d Tf %d %d Td (%s) Tj ET\n", size, x, y, pdfText(s))
	}
	text(16, 70, 760, title)
	y := 720
	for _, l := range lines {
		text(11, 70, y, l)
		y -= 18
	}
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", page.Len()+1, page.String()),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
	}
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	offsets := make([]int, len(objects))
	for i, o := range objects {
		offsets[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, start)
	return b.Bytes()
}

// pdfText writes a string in WinAnsi, as far as it reaches.
func pdfText(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '(' || r == ')' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '€':
			b.WriteString(`\200`)
		case r < 0x80:
			b.WriteRune(r)
		case r >= 0xa0 && r <= 0xff:
			fmt.Fprintf(&b, "\\%03o", r)
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}

// servePicture is the web server that remote images of mails lie on.
func servePicture(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "image/png")
	_, _ = w.Write(Picture("banner", 0))
}
