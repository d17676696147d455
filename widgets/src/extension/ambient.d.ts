// JupyterLab provides these at run time and shares its own copies; they are not installed here.
declare module '@jupyterlab/application';
declare module '@jupyterlab/apputils';
declare module '@jupyterlab/launcher';
declare module '@jupyterlab/notebook';
declare module '@jupyterlab/settingregistry';
declare module '@jupyterlab/ui-components';
declare module '@lumino/widgets';
declare module '*.css';
declare module '*.svg';
