"""An example to change: is a tumour malignant, by what a microscope shows of its cells?"""
