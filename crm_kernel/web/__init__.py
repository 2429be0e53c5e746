"""The web shell: edges, layout, navigation, components, forms and charts."""
