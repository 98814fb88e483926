import unittest

import corpus

PAGE = """<!DOCTYPE html><html><head><title>not this</title></head><body class="x">
<div class="navheader"><div>Prev <a href="#">Up</a></div> Next</div>
<div id="main"><h1>Title<a class="headerlink" href="#t">¶</a></h1>
<p>Two  words &amp;
more.<br>New line.</p><ul><li><p>An item</p></li><li>Another</li></ul>
<pre>$ ls  -l
  a &lt; b
</pre><table><tr><td>x</td><td>y</td></tr></table>
</div><script>var no = "<p>";</script><div class="footer">Copyright<hr></div>After</body></html>"""


class CorpusTest(unittest.TestCase):
    def test_text_without_navigation(self):
        page = corpus.PageText()
        page.feed(PAGE)
        self.assertEqual(page.text(), "Title\n\nTwo words & more.\nNew line.\n\nAn item\n\nAnother\n\n$ ls  -l\n  a < b\n\nx y\n\n"
                                      "After\n")

    def test_sides_are_a_function_of_the_path(self):
        paths = [f"/usr/share/doc/p/{i}.html" for i in range(4000)]
        share = sum(map(corpus.is_held_out, paths)) / len(paths)
        self.assertAlmostEqual(share, 1 / corpus.HELD_OUT_SHARE, delta=0.02)
        self.assertEqual([corpus.is_held_out(p) for p in paths[:50]], [corpus.is_held_out(p) for p in paths[:50]])


if __name__ == "__main__":
    unittest.main()
