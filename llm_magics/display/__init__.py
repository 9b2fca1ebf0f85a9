"""From plain data to text, HTML and pictures; standard library only.

Every piece of HTML is built from `html.Node`, never from strings, so nothing a user or a model
wrote can become markup. Pictures are SVG or PNG inside `<img src="data:…">`: they survive in a
notebook that is not trusted, where Jupyter removes `<svg>` and `<style>`. Colours come from the
host (`theme`).
"""
