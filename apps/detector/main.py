"""The script that Streamlit runs: the app's pages."""

import streamlit as st

ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">
<rect width="64" height="64" rx="14" fill="#1f6feb"/>
<path d="M4 24 16 27M60 24 48 27M6 42 18 40M58 42 46 40" stroke="#fff" stroke-width="3"/>
<path d="M14 23Q32 16 50 23V36Q46 50 32 52 18 50 14 36Z" fill="#fff"/>
<path d="M20 31H44M20 38H44" stroke="#1f6feb" stroke-width="3"/></svg>"""
"""A mask. One of Streamlit's own would be fetched from elsewhere."""


def main() -> None:
    """Show the page that the address names."""
    st.set_page_config(page_title="Maskline: mask detection", page_icon=ICON, layout="wide")
    pages = [
        st.Page("detect.py", title="Detect", icon=":material/familiar_face_and_zone:", default=True),
        st.Page("experiments.py", title="Experiments", icon=":material/experiment:"),
        st.Page("report.py", title="Report", icon=":material/assessment:"),
    ]
    st.navigation(pages, position="top").run()


if __name__ == "__main__":
    main()
